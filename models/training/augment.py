"""Rewordings of real queries, and made-up queries of the kinds that real collections lack."""

import random

from corpus import LABELS, Query

KEYWORD, SEMANTIC, HYBRID, UNKNOWN = range(len(LABELS))
ENDINGS = " \t?!.。．？！…"
CJK_LANGUAGES = {"ja", "zh"}


def plain(text):
    """The text in lower case without final punctuation."""
    return text.lower().rstrip(ENDINGS) or text.lower()


def is_ascii_letter(char):
    """Whether `char` is an ASCII letter or digit."""
    return char.isascii() and char.isalnum()


def tight(text):
    """The text without the spaces between ASCII and Japanese words, as many writers leave them out."""
    return "".join(
        char
        for i, char in enumerate(text)
        if char != " " or not 0 < i < len(text) - 1 or is_ascii_letter(text[i - 1]) == is_ascii_letter(text[i + 1])
    )


def variants(query, seed):
    """The query and its rewordings, with weights that sum to that of the query."""
    chance = random.Random(f"{seed}:{query.text}")
    texts = [query.text, plain(query.text)]
    texts.append(query.text.rstrip(ENDINGS) or query.text if chance.random() < 0.5 else query.text.lower())
    if query.language == "ja":
        texts.append(tight(query.text))
    elif query.language == "en":
        changed = query.text.title() if query.label != SEMANTIC else query.text[:1].upper() + query.text[1:]
        texts.append(changed if chance.random() < 0.7 else query.text.upper())
    return [query.with_text(text, 1 / len(texts)) for text in texts]


JA_TERMS = """PostgreSQL ベクトル検索 インデックス 全文検索 データベース 東京 京都 大阪 札幌 福岡 天気 予報 ホテル 温泉 旅行 新幹線
時刻表 ラーメン カレー 寿司 弁当 レシピ 豚肉 大根 鶏むね肉 スマホ iPhone Android 充電器 イヤホン ノートパソコン 冷蔵庫 洗濯機
Python Rust Docker Kubernetes React TypeScript 型定義 非同期処理 例外処理 正規表現 文字列 配列 関数 変数 認証 トークン 暗号化 会議
議事録 予算 売上 決算 契約書 請求書 見積書 履歴書 面接 転職 年収 保険 住宅ローン 確定申告 年末調整 ふるさと納税 花粉症 頭痛 風邪 腰痛
糖尿病 筋トレ ダイエット 睡眠 英語 単語 数学 微分 方程式 確率 統計 機械学習 深層学習 画像認識 自然言語処理 量子コンピュータ 相対性理論
織田信長 徳川家康 坂本龍馬 夏目漱石 明治維新 江戸時代 富士山 琵琶湖 桜 紅葉 祭り 花火 映画 アニメ 漫画 ゲーム 音楽 ピアノ ギター
サッカー 野球 相撲 田中 佐藤さん 山田太郎 鈴木 部長 誕生日 電話番号 住所 メールアドレス パスワード 設定ファイル エラーコード ログ
バックアップ レプリケーション 障害 サーバー ネットワーク ファイアウォール お茶 りんご さつまいも ひらがな おにぎり みかん ねこ""".split()
JA_INTENTS = """比較 方法 おすすめ ランキング 口コミ 評判 使い方 作り方 違い 原因 歴史 効率的 最適化 実装方法 設定方法 手順 入門 料金 安い 人気
対策 対処法 メリット デメリット チュートリアル 初心者 最新 簡単 無料 事例""".split()
JA_NAMES = """風と共に去りぬ 耳をすませば 千と千尋の神隠し 鬼滅の刃 進撃の巨人 君の名は 関ヶ原の戦い 壇ノ浦の戦い 本能寺の変 桜田門外の変 島原の乱
文化の日 こどもの日 海の日 春分の日 敬老の日 猫の手 オームの法則 メンデルの法則 フレミングの法則 ピタゴラスの定理 慣性の法則 三平方の定理 女の一生 赤と黒 罪と罰
老人と海 戦争と平和 吾輩は猫である 走れメロス 注文の多い料理店 銀河鉄道の夜 蜘蛛の糸 雪の女王 不思議の国のアリス 星の王子さま となりのトトロ 天空の城ラピュタ
魔女の宅急便 崖の上のポニョ 風の谷のナウシカ もののけ姫 火垂るの墓 北の国から 孤独のグルメ 逃げるは恥だが役に立つ 世界の中心で愛をさけぶ 建武の新政 享保の改革
寛政の改革 天保の改革 正倉院 法隆寺 竹の子 虎の門 御茶ノ水 丸の内 霞ヶ関 一富士二鷹三茄子 エデンの園 ノアの箱舟 トロイの木馬 バベルの塔 モナリザ 最後の晩餐
真珠の耳飾りの少女 ひまわり さくら たんぽぽ かぼちゃ しいたけ ほうれんそう きのこ すきやき こたつ ゆかた わさび みそ汁 うどん そば せんべい まんじゅう だるま
こいのぼり ひなまつり おせち ふるさと あんこ いちご ぶどう さば いわし くじら いるか うさぎ きつね たぬき かえる かたつむり ちびまる子ちゃん さいたま市
あきる野市 つくばエクスプレス いわき市 むつ市 りんごジュース お好み焼き たこ焼き 焼き鳥 生け花 折り紙 相撲取り 受け付け 引っ越し 買い物かご 乗り換え案内
落とし物 貸し切りバス 立ち食いそば 食べ放題 飲み会 花見 見直し 取り扱い説明書 しゃぶしゃぶ ねぶた祭 ほうじ茶 みなとみらい そごう すかいらーく なでしこジャパン""".split()
JA_LINKED = """一覧 意味 使い方 作り方 歴史 原因 誕生日 値段 種類 設定 宣言 読み込み 管理 仕組み 概要 違い 比較 バインディング 影響 実装 選び方
やり方 始め方 書き方 探し方 最適化 有効化 高速化 インストール 人口 場所 名前 話 件 結果 予定 メモ 表示 確認 変換 追加 継承 使用 呼び出し 作成 紹介 挙動 変更 高速化 書き換え 分割 保存 立ち上げ 検証""".split()
JA_VERBS = """使用する 設定する 使う 作る 確認する 変更する 削除する 追加した 調べたい 教えて 知りたい 直したい 比較したい 探している 教えてください
まとめて 説明して 高速化したい 動かない 表示されない 失敗する 読み込めない 決めた 話した 食べたい 行きたい 買った 始める 理解する 避ける
変更しました 作成しましょう 修正 削除 置換 変換 検出 防ぐ 避ける 保持する 試す 追加 始めましょう 無効化 必要です 好きだ おいしい 難しい 遅い 消えた 壊れている 更新されていない""".split()
JA_OPENERS = """とは とは何ですか は何 はどこ はいつ はいくら は誰 の方法は の意味は って何 はなぜ を教えて について教えて はどうやって使うの
の違いは何 はどうなった はありますか はできる？ を使うには するには はどれ はどちらが良い が動かないのはなぜ の値段は の誕生日はいつ""".split()
JA_RELATIVE = """去年の夏に{a}で食べた{b} {a}で買った{b} {a}が好きな{b} {a}について話した{b} 先週{a}で見つけた{b} {a}に使える{b}
{a}で使う{b} {a}のための{b} {a}における{b}の{l} {a}と{b}の違い {a}から{b}への{l} {a}向けの{b} {a}による{b}の{l} {a}での{b}
{a}に関する{b} {a}付きの{b} {a}を使う理由 {a}が必要な場合 {a}で失敗する{b} {a}を変更したとき {a}できる{b} {a}に含まれるもの {a}を使う前に
{a}が遅い理由 {a}する{b} {a}を持つ{b} {a}のない{b} {a}された{b} {a}と{b}の使い分け {a}対{b} {a}を伴う{b} {a}に{b}が必要な理由
{a}になる可能性がある{b} {a}を書くべき場所 {a}上での{b} {a}がしていること 新しい{a}と古い{b} より良い{a} {a}のための{b}と{c} {a}を{b}で
{a}に基づく{b} {a}の{b}における{l} {a}を含む{b}の{l} {a}で人気の{b} {a}へのお土産 おいしい{a}の{b} 美味しい{a}の店 {a}に合う{b} {a}を使った{b} {a}しやすい{b}の{l} 安くて軽い{a}""".split()

EN_TERMS = """postgres index vector search machine learning neural network image recognition dental insurance car battery coffee
maker running shoes laptop charger wireless headphones phone case garden hose office chair desk lamp winter jacket hiking boots
guitar strings piano lessons tax return mortgage rate credit card bank account passport renewal birth certificate flight
tickets hotel resort beach museum zoo school district hospital clinic pharmacy blood pressure diabetes asthma vitamin protein
chicken soup pasta salad chocolate cake bread flour docker container kubernetes cluster redis cache auth token session cookie
database migration python decorator rust borrow checker lifetime react hook typescript generics regex unicode string array
linked list binary tree graph algorithm compiler kernel driver firewall router printer monitor keyboard meeting notes
project budget quarterly report deadline invoice contract employee handbook solar panel electric vehicle climate policy
roman empire civil war world cup champions league jazz album movie soundtrack novel author poem painter sculpture""".split()
EN_PLACES = "boston texas ohio berlin london tokyo kyoto paris san diego new york chicago ontario sydney india brooklyn".split()
EN_NAMES = """Lenovo ThinkPad X1|Sony WH-1000XM5|Canon EOS R6|iPhone 15 Pro|RTX 4090|Honda Civic 2019|Taylor Swift|Ada Lovelace|
Miles Davis|Harvard University|Bank of Ireland|House of Cards|Game of Thrones|The Old Man and the Sea|Pride and Prejudice|
War and Peace|Gone with the Wind|Lord of the Flies|The Call of the Wild|The Silence of the Lambs|The Planet of the Apes|The Grapes of Wrath|University of Oxford|Museum of Modern Art|Lady and the Tramp|
Beauty and the Beast|Johnson & Johnson|King of Queens|Department of Energy|The Wizard of Oz|Out of Africa|To Kill a Mockingbird|
Dances with Wolves|Tower of London|Statue of Liberty|Declaration of Independence|Isle of Man|Prisoner of Azkaban|
Dungeons and Dragons|Romeo and Juliet|Once Upon a Time in the West|A Tale of Two Cities|The Catcher in the Rye|
Alice in Wonderland|Singin in the Rain|Saturday Night Live|Guns N' Roses|Duchess of Malfi|Hunchback of Notre Dame""".replace("\n", "").split("|")
EN_CODE = """NullPointerException|ECONNREFUSED|E0277|E0599 no method named|TypeError: undefined is not a function|std::vec::Vec|
numpy.ndarray|pg_stat_statements|max_connections|SELECT count(*)|git stash pop|git log --oneline|git checkout -b|git commit --amend|git push --force|curl -X POST|psql -d|docker compose up -d|
kubectl get pods|npm install --save-dev|std::unordered_map|useEffect|getElementById|HTTP 404|error 0x80070057|ORA-01017|
segmentation fault|permission denied (publickey)|index out of bounds|undefined reference to main|fn main()|__init__.py|
config.toml|/etc/hosts|https://example.org/docs|www.example.com|user@example.org|SHA-256|RFC 7231|ISO 8601|CVE-2021-44228|
TODO FIXME|"exact phrase"|"vector index" AND hnsw|title:postgres author:lane|site:example.org pgvector|foo OR bar|v2.3.1|
ts_rank_cd|array_agg|jsonb_path_query|ALTER TABLE|cargo build --release|ssh-keygen -t ed25519|libonnxruntime.so|PANIC: could not|
FATAL: role does not exist|cannot borrow as mutable|mismatched types|connection reset by peer|out of memory|
deadlock detected|syntax error at or near|relation does not exist|AccessDeniedException|tokio::spawn|Promise.all|
vec.push()|LEFT JOIN|O(n log n)|utf8mb4_general_ci|127.0.0.1|localhost:5432|ENOENT|chmod 755|grep -rn|tar xzf|ls -la""".replace("\n", "").split("|")
EN_HYBRID = """best {a} for {b}|best {a} near {p}|cheap {a} in {p}|{a} vs {b}|{a} vs {b} performance|{a} {b} comparison|
{a} {c} comparison for {b}|causes of {a} {b}|history of {a} {b}|{a} for {b} {c}|{a} with {b}|{a} without {b}|{a} in {p}|
average {a} price in {p}|list of {a} {b}|difference between {a} and {b}|effects of {a} on {b}|{a} {b} best practices|
{a} {b} {c} tutorial|{a} {b} {c} examples|efficient {a} {b} {c}|{a} tips for beginners|top 10 {a} in {p}|impact of {a} on {b} {c}|
benefits of {a}|{a} by {b}|{a} of the {b} {c}|the {a} of {b}|{a} under 50 dollars|new {a} from {p}|{a} similar to {b}|
notes from the {a} {b}|{a} during the {b}|alternatives to {a} {b}|good {a} for small {b}|{a} near {p}|review of {a} {b}|
symptoms of {a} in {b}|{a} {b} pros and cons|conversion of {a} to {b}|{a} made of {b}|advantages of {a} over {b}|
{a} that work with {b}|{a} who invented {b}|people who like {a} in {p}|things to know when buying {a}|patients that took {a} after {b}|
words that describe {a}|places to see {a} in {p}|people who {d} on the {a}|engineers who {d} {a} in {p}|{a} that {d} {b}|{a} {d} in {p}|{a} {b} {d} by {c}|
{a} {b} where she {d} the {c}|companies which {d} {a}|author of the {a} {b}|{a} {d} in the 1990s|{a} {b} {c} for {a} {b} using {c}|A Survey of {a} {b} Methods|
Towards Fast {a} {b} for {c} Systems|On the {a} of {b} {c} in {p}|{a}Net: A Framework for {b} {c}|An Efficient {a} {b} {c} Model for {b} {a}|
{a} {b} {c} Based on {b} {c} {a}|Learning {a} {b} from {c} Data|{a}-Based {b} {c} {a} with Multiple {b}|{b} {c} Analysis of {a}: A Case Study in {p}|
{a} aware {b} {c}: {a} {b} using a {c} approach|A Comparative Study of {a} and {b} for {c}|The Role of {a} in {b} {c}|
Improved {a} {b} with Deep {c} {a}|"{a}" vs. "{b}"|'we {a}' vs 'we are {a}'|Difference between "they {b}" and "they have {b}"|
question about {a} and {b}|problem with {a} in {b}|{p}'s {a} of {b}|U.S. {a} response to {b}|{p} {a} trends in the {b} sector|
{a} error when using {b}|material on {a} for {b}|map of {p}|mayor of {p}|emblem of {a}|types of {a}|names of {a}|{a} starring {b}|movies about {a}|
{a} with {b} and {c}|songs about {a}|{a} on a budget|rising {a} in {p}|{a} for kids|{a} for {b}|{a} in {b}|things to do in {p}|
most famous {a} {b}|{a} {b} most expensive|{a} definition medical {b}|{a} {b} {c} history|{a} symptoms {b} {c} causes""".replace("\n", "").split("|")
EN_SEMANTIC = """how do i {v} {a} {b}|how to {v} {a}|what is {a} {b}|why is my {a} so slow|{v} the {a} {b}|{v} {a} to {b}|
{v} a {a} from {b}|{g} the {a} yourself|where can i buy {a} {b}|what did we decide about the {a} {b}|who invented the {a}|
when is the {a} due|can you {v} my {a}|i need to {v} {a} before {b}|is {a} better than {b}|tell me about {a}|my {a} won't {v}|
the {a} {b} doesn't work after the update|should i {v} {a} or {b}|show me {a} in {p}|what {a} works with {b}|how many {a} are in {p}|
find {a} that {v} {b}|remind me to {v} the {a}|does {a} {v} {b}|{a} is not working|which {a} is the best for {b}|how much does {a} cost|
i forgot where we put the {a}|{a} keeps crashing when i {v} {b}|{v} all {a} with {b}|give me a list of {a}|the {a} was changed last week|
we agreed to {v} the {a}|{g} {a} with {b}|how long does {a} take|explain {a} {b}|where is the {a}|the {a} crashed after the {b}|remember that my {a} is {b}|{v} {a}|{v} {a} {b}|{w} {a}|{w} {a} {b}|{w} {a} {b} {c}|{g} {a}|{g} {a} {b}|{g} {a} {b} {c}|{a} {t} {b}|{a} {b} {t} {c}|
{a} {t} {b} in {p}|{a} {b} returns wrong {c}|automatically {v} {a}|Looking for {a} in {p}|I'm looking for {a} on {b}|no that's wrong|
please {v} the {a}|turn on the {a}|look for {a}|Is {a} a {b}|Find {a} for sale in {p}|Find documents that discuss {a} {b} in {p}|
Give information about {a}, its {b} and {c}|{w} {a} on {b}|{w} {a} with {b} using {c}|{v} {a} for {b}|calculate {a}|{w} {a} from {b}|show map of {p}|{a} cannot {v} {b}|summarize the {a} {b}""".replace("\n", "").split("|")
EN_VERBS = "convert remove install update build replace parse sort improve configure delete merge open clean fix share".split()
EN_CODE_VERBS = """get encode decode write parse print read initialize deserialize serialize compute calculate create generate extract
check find filter format concatenate unzip download validate substitute view show modify transform center highlight disable enable""".split()
EN_GERUNDS = """identifying growing initializing packing paying fighting managing merging suppressing treating preventing choosing preparing
calculating selling understanding creating getting raising reducing repairing finding changing""".split() + "converting removing installing updating building replacing parsing sorting improving configuring".split()

EN_PAST = "walked wrote invented played won landed lived worked grown written fed directed built found caused sent made used sold".split()
EN_SHORT = """EU UK AI HP LG UI css sql npm vpn gpu ssd usb tv dns tls aws gcp ibm bmw vw nba nfl ufc wwe kfc mri adhd hiv dna rna ph ios os
mtv hbo bbc cnn npr xml json yaml www mp3 pdf jpg rss nyc dc""".split()
EN_THIRD = """divides prevents increases reduces disrupts shows displays returns supports boosts causes uses throws ignores blocks improves
suppresses inhibits affects breaks hits""".split()
EN_GERUND_NOUNS = """running shoes|driving school|hiking boots|swimming pool|wedding dress|parking permit|sewing machine|dining table|
shopping mall|building code|housing market|cooking class|fishing license|training videos|learning center|washing machine|
nursing home|engineering jobs|marketing plan|accounting software|printing press|drawing board|meeting room|reading glasses|
knitting patterns|racing games|painting supplies|heating oil|hearing aids|department of motor vehicles|
bank of montreal|ministry of finance|board of education|university of leeds|state board of nursing|institute of physics|
society of actuaries|battle of hastings|treaty of versailles|house of commons|bureau of standards|museum of natural history|
commission on aging|department of health and human services|city of austin|bay of fundy|district court forms|
terms and conditions|salt and pepper|rock and roll|research and development|bed and breakfast|before and after|black and white|
fish and chips|supply and demand|mergers and acquisitions|lost and found|hide and seek|sweet and sour|the great wave|
something borrowed|into the wild|home is where we start|i want to hold your hand|dont stop believin|let it be|my best friend|
what women want|to be or not to be|she loves you lyrics|we will rock you|stand by me|how i met your mother|who wants to be a millionaire|
while you were sleeping|you've got mail|the sound of music|once upon a time|back to the future|men in black|
catch me if you can|eat pray love|la la land|no country for old men|from here to eternity|the day after tomorrow""".replace("\n", "").split("|")

# Nouns, "N of N" phrases and questions of other languages, so that a bare noun is not read as a question there.
OTHER = {
    "de": ("Wetter Berlin Versicherung Fahrrad Kaffeemaschine Datenbank Rezept Bahnhof Fahrplan Miete Steuer Rechnung",
           "{a} in {b}|{a} für {b}|Geschichte der {a}|Unterschied zwischen {a} und {b}|beste {a} für {b}",
           "wie funktioniert {a}|was kostet {a}|wo finde ich {a}|warum ist die {a} so teuer|ich suche {a} mit {b}"),
    "fr": ("météo Paris assurance vélo cafetière recette gare horaires loyer impôt facture voiture",
           "{a} de la {b}|{a} pour {b}|histoire de {a}|différence entre {a} et {b}|meilleur {a} pour {b}",
           "comment faire {a}|où trouver {a}|pourquoi la {a} est chère|qu'est-ce que {a}|je cherche {a} avec {b}"),
    "es": ("tiempo Madrid seguro bicicleta cafetera receta estación horario alquiler factura coche playa",
           "{a} de {b}|{a} para {b}|historia de la {a}|diferencia entre {a} y {b}|mejor {a} para {b}",
           "cómo hacer {a}|dónde está la {a}|qué es {a}|por qué la {a} no funciona|cuánto cuesta {a}"),
    "ru": ("погода Москва страховка велосипед рецепт вокзал расписание аренда налог счёт машина",
           "{a} для {b}|{a} в {b}|история {a}|разница между {a} и {b}",
           "как сделать {a}|где находится {a}|что такое {a}|почему {a} не работает|сколько стоит {a}"),
    "ko": ("날씨 서울 보험 자전거 레시피 기차역 시간표 월세 세금 자동차 데이터베이스 검색",
           "{a}의 {b}|{a}와 {b}의 차이|{a}에 좋은 {b}|{a}을 위한 {b}",
           "{a} 어떻게 하나요|{a}는 무엇인가|{a}는 어디에 있나요|왜 {a}가 안 되나요|{a} 가격이 얼마예요"),
    "zh": ("天气 北京 保险 自行车 食谱 火车站 时刻表 房租 税收 汽车 数据库 搜索",
           "{a}的{b}|{a}和{b}的区别|适合{a}的{b}|{a}对{b}的影响",
           "{a}怎么用|什么是{a}|{a}在哪里|为什么{a}不能用|{a}多少钱|如何使用{a}"),
}

ROWS = ["qwertyuiop", "asdfghjkl", "zxcvbnm"]


def noise(chance):
    """One string of keyboard noise: neighbouring keys, hammered keys, a single character or loose symbols."""
    kind = chance.randrange(7)
    row = chance.choice(ROWS)
    if kind == 0:
        start = chance.randrange(len(row) - 3)
        return row[start:start + chance.randint(4, 9)] * chance.randint(1, 2)
    if kind == 1:
        return "".join(chance.choice("asdfghjkl") for _ in range(chance.randint(5, 14)))
    if kind == 2:
        return chance.choice("abcdefghjklmnopqrsuvwxyzあえおん") * chance.choice([1, 4, 5, 6, 8, 11])
    if kind == 3:
        return "".join(chance.choice("bcdfghjklmnpqrstvwxz") for _ in range(chance.randint(5, 12)))
    if kind == 4:
        return " ".join("".join(chance.choice(row) for _ in range(chance.randint(3, 7))) for _ in range(chance.randint(2, 3)))
    if kind == 5:
        return "".join(chance.choice("?!.,-_*/+=~#()[] ") for _ in range(chance.randint(2, 8))) + chance.choice(["", "x", "1"])
    return "".join(chance.choice("hjklfdsnmv") for _ in range(chance.randint(6, 12))) + chance.choice(["", "jj", "kkk"])


def _fill(pattern, chance):
    places = {"v": EN_VERBS, "w": EN_CODE_VERBS, "g": EN_GERUNDS, "t": EN_THIRD, "d": EN_PAST, "p": EN_PLACES}
    words = {key: chance.choice(values) for key, values in places.items()}
    words |= {key: chance.choice(EN_TERMS) for key in "abc"}
    return pattern.format(**words)


def _japanese(chance):
    a, b, c = chance.sample(JA_TERMS, 3)
    kind = chance.randrange(14)
    space = chance.choice([" ", " ", " ", "　"])
    if kind < 3:
        return space.join([a, b, c][:chance.choice([2, 2, 3, 1])]), KEYWORD
    if kind == 3:
        terms = [a, b, chance.choice(JA_INTENTS)]
        return space.join(terms + ([chance.choice(JA_INTENTS)] if chance.random() < 0.4 else [])), HYBRID
    if kind == 4:
        return space.join([a, chance.choice(JA_INTENTS)]), KEYWORD
    if kind == 5:
        return f"{a}の{chance.choice(JA_LINKED)}", HYBRID
    if kind == 6:
        return chance.choice(JA_RELATIVE).format(a=a, b=b, c=c, l=chance.choice(JA_LINKED)), HYBRID
    if kind == 7:
        return f"{a}{chance.choice(JA_OPENERS)}", SEMANTIC
    if kind == 8:
        return f"{a}の{chance.choice(JA_LINKED)}{chance.choice(JA_OPENERS[:8])}", SEMANTIC
    if kind == 9:
        if chance.random() < 0.15:
            return f"{a}を{chance.choice(['使う', '書く', '避ける', '作る', '速くする', '直す'])}方法", SEMANTIC
        return f"{a}{chance.choice(['を', 'が', 'で' + b + 'を', 'の' + b + 'を'])}{chance.choice(JA_VERBS)}", SEMANTIC
    if kind == 10:
        if chance.random() < 0.4:
            return f"{a}{chance.choice(['', ' ', b])}の{chance.choice(JA_LINKED)}", HYBRID
        return chance.choice(JA_RELATIVE).format(a=a, b=b, c=c, l=chance.choice(JA_LINKED)), HYBRID
    if kind == 11:
        return chance.choice(JA_NAMES), KEYWORD
    if kind == 12:
        shapes = [f"{a}と{b}", f"{a}付き{b}", f"{a}用{b}", f"例：{a}", f"{a}（{b}）", f"{a} {chance.choice(JA_NAMES)}", f"{a}・{b}"]
        return chance.choice(shapes), KEYWORD
    return f"{a}{b}", KEYWORD


def _english(chance):
    kind = chance.randrange(8)
    if kind < 2:
        return " ".join(chance.sample(EN_TERMS, chance.randint(1, 4))), KEYWORD
    if kind == 2 and chance.random() < 0.3:
        a, b, c = chance.sample(EN_TERMS, 3)
        return chance.choice([f"{a} and {b}", f"{a} {b} and {c}", f"{a} & {b}", chance.choice(EN_SHORT)]), KEYWORD
    if kind == 2:
        return chance.choice(EN_NAMES + EN_GERUND_NOUNS), KEYWORD
    if kind == 3:
        return chance.choice(EN_CODE), KEYWORD
    if kind < 6:
        return _fill(chance.choice(EN_HYBRID), chance), HYBRID
    return _fill(chance.choice(EN_SEMANTIC), chance), SEMANTIC


def _other(chance):
    language = chance.choice(list(OTHER))
    nouns, phrases, questions = OTHER[language]
    a, b = chance.sample(nouns.split(), 2)
    kind = chance.randrange(3)
    if kind == 0:
        return " ".join([a, b][:chance.randint(1, 2)]), KEYWORD, language
    pattern = chance.choice((phrases if kind == 1 else questions).split("|"))
    return pattern.format(a=a, b=b), HYBRID if kind == 1 else SEMANTIC, language


def synthetic(counts, seed):
    """Made-up queries: `counts` maps "ja", "en", "other" and "noise" to how many of each, each of weight 1."""
    chance = random.Random(seed)
    made = []
    for _ in range(counts["ja"]):
        made.append((*_japanese(chance), "ja"))
    for _ in range(counts["en"]):
        made.append((*_english(chance), "en"))
    for _ in range(counts["other"]):
        made.append(_other(chance))
    for _ in range(counts["noise"]):
        made.append((noise(chance), UNKNOWN, "en"))
    return [Query(text, label, language, "synthetic", True) for text, label, language in dict.fromkeys(made)]
