//! Words that say little of what a text is about.

use std::collections::HashSet;
use std::sync::LazyLock;

/// PostgreSQL's English stop words (`tsearch_data/english.stop`), which its stemmer drops.
const ENGLISH: &str = "
    i me my myself we our ours ourselves you your yours yourself yourselves he him his himself she her hers
    herself it its itself they them their theirs themselves what which who whom this that these those am is are
    was were be been being have has had having do does did doing a an the and but if or because as until while of
    at by for with about against between into through during before after above below to from up down in out on
    off over under again further then once here there when where why how all any both each few more most other
    some such no nor not only own same so than too very s t can will just don should now
";

/// Pairs of hiragana that make up particles, auxiliaries and endings: those that one of 50 passages of an encyclopedia has, or
/// one of 250 questions about it.
const HIRAGANA: &str = "
    あた あっ あり ある いう いか いが いく いこ いた いっ いつ いて いで いと いな いに いの いは いま いら いる いわ うか うこ うし うち うと うな うに
    えた えて えば えら える おい おけ およ おり かか かけ かし かっ かつ かな かに かの から かれ があ がい がっ がで がな がよ がら きく きた きな きる
    くつ くな くの くは けた けて けで けら ける げら こう こか こっ こで こと こに この これ ころ さい させ さら され しい しか しく した して しな しま
    しょ じて すか すこ すべ する せた せて せる そし その それ ぞれ たか たが たこ たた ただ たち たと たな たの たは ため たも たり たる だが だけ だし
    だっ だと ちに ちら った っち って つい つか つけ つで つの てい てお てき てし ての ては ても であ でい でき でし です でに での では でも とい とか
    とが とき とこ とさ とし とす とっ とで とと とど とな とに との とは とも とを とん どう どが どこ どち どっ どで どに どの どれ どを どん ない なお
    なか なが なく なさ なっ など なの なも なら なり なる なん にあ にお にか にし につ にと にど にな には にも によ のあ のう のか のが のこ のた ので
    のと のど のに のの のは のほ のま のみ のも のよ のを はい はこ はじ はそ はど はな ばれ へと への べて ほか ほと ほど ほぼ まし ます また まっ まで
    まま まり まれ めた めて めに めの めら める もあ もい もっ もと もな もに もの ょう よう よっ よび より よる らい らか らが らず らで らな らに らの
    らは られ りに りの りま りも るい るか るが るこ るた ると るな るに るの るも るよ れが れく れぞ れた れて れで れな れに れは れば れま れら れる
    れを わせ わっ わり わる われ をし をな をも んだ んで んと んど んな
";

/// More of them, which people say to each other and to a search rather than to readers of an encyclopedia.
const SPOKEN: &str = "
    たい たく たら たけ ちゃ じゃ だよ だね よね かな ませ せん くだ ださ さい ょう しょ しよ みた けど けれ だろ ろう なん なに
    ほし しか てる てた とう どん んな ねえ わけ はず そう こん あん あの どう いか かが
";

fn set(words: &'static str) -> HashSet<&'static str> {
    words.split_whitespace().collect()
}

/// Whether PostgreSQL's English stemmer drops a word in lower case.
pub fn is_english_stop_word(word: &str) -> bool {
    static SET: LazyLock<HashSet<&str>> = LazyLock::new(|| set(ENGLISH));
    const LONGEST: usize = 10;
    word.len() <= LONGEST && SET.contains(word)
}

/// Whether a pair of hiragana, or one alone, is more likely a part of a particle or an ending than of a word.
pub fn is_particle(hiragana: &str) -> bool {
    static SET: LazyLock<HashSet<&str>> = LazyLock::new(|| set(HIRAGANA).into_iter().chain(set(SPOKEN)).collect());
    hiragana.chars().nth(1).is_none() || SET.contains(hiragana)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn function_words_are_known() {
        assert!(ENGLISH.split_whitespace().all(is_english_stop_word));
        assert!(["the", "it", "yourselves"].iter().all(|word| is_english_stop_word(word)));
        assert!(!is_english_stop_word("search"));
        assert!(["です", "した", "から", "たい", "の"].iter().all(|pair| is_particle(pair)));
        assert!(!["さく", "くら", "ひろ"].iter().any(|pair| is_particle(pair)));
    }
}
