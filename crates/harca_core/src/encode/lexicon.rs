//! The closed word lists of the encoder: words whose presence says how a query is built, not what it is about.
//!
//! A word on a list keeps its own name in the template; every other word is reduced to a shape class, so that what
//! the model learns from one collection ("N of N in N") holds for the next one.

use xxhash_rust::xxh3::xxh3_64;

/// Part of speech, or role in a query, of a listed word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Role {
    /// Question word.
    Wh = 1,
    /// Auxiliary or copula.
    Aux,
    /// Article, demonstrative or quantifier.
    Determiner,
    /// Personal, possessive or indefinite pronoun.
    Pronoun,
    /// Preposition.
    Preposition,
    /// Conjunction that joins clauses.
    Clause,
    /// `and`, `or` and their like, which also join plain nouns.
    Joiner,
    /// Infinitive marker or preposition `to`.
    To,
    /// Negation.
    Not,
    /// Adverb of time, degree or manner.
    Adverb,
    /// Word of comparison.
    Versus,
    /// Qualifier of a wish: best, cheap, near …
    Qualifier,
    /// Noun that names an intent: comparison, tutorial, history …
    Intent,
    /// Verb in its base form, as instructions start with.
    Verb,
    /// Inflected verb that is hardly ever a noun.
    Finite,
    /// Greeting or politeness.
    Polite,
}

/// Lists of one role, words separated by white space, lower case, after NFKC.
const LISTS: &[(Role, &str)] = &[
    (
        Role::Wh,
        "what who whom whose which when where why how whats whos wheres hows whens whatever whoever whichever \
         wer wen wem wessen welche welcher welches welchen welchem wann wo woher wohin warum wieso weshalb wie \
         quel quelle quels quelles qui quoi pourquoi comment combien où quand lequel laquelle est-ce qu \
         qué quién quiénes cuál cuáles cuándo dónde adónde cómo cuánto cuánta cuántos cuántas porqué \
         quem qual quais quando onde como quanto quantos porque \
         chi che cosa quale quali dove perché quanti \
         wat wie waar waarom hoe welk \
         кто что какой какая какое какие каком какую каких какого какому каким когда где куда откуда почему зачем \
         как сколько чей чья чьё чем кем кого кому чего ли",
    ),
    (
        Role::Aux,
        "is are was were be been being am do does did doing done has have had having can could will would shall \
         should may might must isn aren wasn weren don doesn didn hasn haven hadn won wouldn couldn shouldn isnt arent \
         wasnt dont doesnt didnt cant wont wouldnt couldnt shouldnt havent hasnt ain cannot gonna gotta ought \
         ist sind waren haben hatte wird werden wurde wurden kann können muss soll gibt \
         est sont était étaient fut furent a-t-il a-t-elle ont peut-on \
         es era eran fue fueron está están tiene tienen \
         é são foi foram está был была было были является являются есть",
    ),
    (
        Role::Determiner,
        "the a an this that these those some any each every all both either neither no another such several many much \
         most more few fewer less least other others own same half enough \
         der das den dem des ein eine einer eines einem einen \
         le la les un une des el los las una unos unas il lo gli uma os",
    ),
    (
        Role::Pronoun,
        "i you he she it we they me him her us them my your his its our their mine yours hers ours theirs myself \
         yourself himself herself itself ourselves themselves someone somebody something anyone anybody anything \
         everyone everybody everything nobody nothing none one ones im ive id youre theyre hes shes \
         ich du er sie wir ihr mich mir je tu nous vous ils elles yo él ella ellos se sich",
    ),
    (
        Role::Preposition,
        "of in on at by for with from as about into onto over under after before between among against during without \
         within through throughout across along around behind beside besides beyond despite down except inside like \
         off out outside per since toward towards until till up upon via regarding concerning including based \
         according due related using \
         von im zum zur mit für bei aus nach über auf gegen seit vor unter \
         de du au aux en dans sur pour par avec sans chez sous del al con para por sin sobre desde hasta \
         da das em di nel nella в на с по из от до для о об при за под над у к",
    ),
    (
        Role::Clause,
        "if because while although though whether unless whereas so than then once \
         dass wenn weil ob que si porque чтобы если",
    ),
    (Role::Joiner, "and or & nor but plus und oder et ou y e и или aber mais pero"),
    (Role::To, "to"),
    (Role::Not, "not never 't nicht kein keine ne pas не нет"),
    (
        Role::Adverb,
        "there here now today tomorrow yesterday currently already still yet just only even also too very really \
         again always often usually ever sometimes soon ago please maybe quite rather almost properly correctly \
         automatically away back together instead well long far else anymore longer",
    ),
    (Role::Versus, "vs versus vs. compared v comparison difference differences contre"),
    (
        Role::Qualifier,
        "best top better good great cheap cheapest affordable efficient effective fast fastest easy easiest simple \
         free new latest recommended popular nearby near close worst largest biggest smallest highest lowest famous \
         fresh homemade secure lightweight beginner beginners advanced optimal",
    ),
    (
        Role::Intent,
        "tutorial tutorials guide guides example examples history cause causes effects effect symptoms treatment \
         review reviews recipe recipes tips ideas meaning definition overview introduction list types benefits \
         advantages disadvantages cost costs price prices requirements steps instructions use uses ways way impact \
         role relationship relation problem problems issue issues alternatives practices analysis",
    ),
    (
        Role::Verb,
        "get find make create convert show tell give add remove delete change set build install run start stop fix \
         explain describe define name identify call send open close write read check calculate compute parse print \
         sort filter merge split join replace insert update upgrade download upload import export load save copy move \
         rename extract generate implement configure enable disable allow prevent avoid handle catch throw return \
         pass declare override extend render display hide select choose pick compare discuss summarize summarise \
         look search locate determine measure test debug deploy connect disconnect bind attach detach wrap unwrap \
         encode decode encrypt decrypt compress iterate loop count concatenate append prepend format round draw plot \
         turn put let help keep learn teach understand know see watch play listen buy sell pay order book reserve \
         cancel schedule remind cook bake clean wash grow plant train lose gain reduce increase improve speed \
         optimize optimise want need like try ask answer say think believe mean happen work go come take bring live \
         die eat drink sleep become use apply access retrieve fetch query scan resize scale rotate crop trim detect \
         recognize recognise predict estimate classify cluster validate verify initialize initialise reset restart \
         reload refresh register unregister subscribe sync migrate restore recover backup mount unmount specify \
         customize customise center align suggest recommend list provide switch swap force",
    ),
    (
        Role::Finite,
        "makes made gets got gives gave given goes went gone comes came takes took taken says said knows knew known \
         becomes became keeps kept finds found thinks thought wants wanted needs needed works worked happens happened \
         happening decided decide decides told asked tells asks means meant wrote written writes sang sung sings \
         won wins lost loses died dies born lives lived invented discovered founded built began begins begun started \
         starts ended ends killed kills played plays plays caused contains contained consists belongs belong \
         occurs occurred increases increased decreases decreased reduces reduced suppresses inhibits inhibited \
         induces induced promotes prevents prevented leads led shows showed shown remains remained \
         appears appeared fails failed crashes crashed breaks broke broken stopped trying seems looks \
         allows allowed requires required exists existed bought sold ate drank saw seen heard felt left \
         ran runs sent paid taught held brought understood chose chosen drew drawn grew grown flew spoke spoken wore",
    ),
    (Role::Polite, "hi hello hey thanks thank sorry please bitte merci gracias пожалуйста"),
];

/// Slots of the table; a power of two, about four times the number of words.
const SLOTS: usize = 4096;

/// Open-addressed set of the listed words, by hash.
#[derive(Debug, Clone)]
pub(super) struct Lexicon {
    slots: Box<[(u64, u8)]>,
}

impl Lexicon {
    /// Builds the table; the first list that holds a word decides its role.
    pub(super) fn new() -> Self {
        let mut slots = vec![(0u64, 0u8); SLOTS].into_boxed_slice();
        for (role, words) in LISTS {
            for word in words.split_whitespace() {
                let hash = xxh3_64(word.as_bytes());
                let mut at = hash as usize % SLOTS;
                while slots[at].1 != 0 && slots[at].0 != hash {
                    at = (at + 1) % SLOTS;
                }
                if slots[at].1 == 0 {
                    slots[at] = (hash, *role as u8);
                }
            }
        }
        Self { slots }
    }

    /// Role number of the word with this hash, 0 for a word on no list.
    #[inline]
    pub(super) fn role(&self, hash: u64) -> u8 {
        let mut at = hash as usize % SLOTS;
        loop {
            let (slot, role) = self.slots[at];
            if role == 0 || slot == hash {
                return role;
            }
            at = (at + 1) % SLOTS;
        }
    }
}

/// Characters of Chinese and Japanese question words; the template keeps them as written.
#[inline]
pub(super) fn is_question_han(c: char) -> bool {
    matches!(c, '何' | '誰' | '幾' | '谁' | '哪' | '什' | '么' | '麼' | '怎' | '几' | '吗' | '嗎' | '呢' | '是')
}

/// Single kanji that act as grammar between kana (使い方, 行った時, その後).
#[inline]
pub(super) fn is_grammar_han(c: char) -> bool {
    matches!(
        c,
        '方' | '時'
            | '人'
            | '為'
            | '事'
            | '物'
            | '所'
            | '前'
            | '後'
            | '中'
            | '上'
            | '下'
            | '内'
            | '間'
            | '年'
            | '月'
            | '日'
            | '名'
            | '数'
            | '際'
            | '場'
            | '違'
            | '教'
            | '使'
            | '見'
            | '言'
            | '的'
            | '知'
            | '作'
            | '行'
            | '来'
    )
}

/// Two-character endings of kanji runs that qualify a search or name its intent.
const INTENT_HAN: &[[char; 2]] = &[
    ['方', '法'],
    ['手', '順'],
    ['比', '較'],
    ['効', '率'],
    ['率', '的'],
    ['最', '適'],
    ['適', '化'],
    ['最', '新'],
    ['最', '安'],
    ['格', '安'],
    ['原', '因'],
    ['理', '由'],
    ['歴', '史'],
    ['影', '響'],
    ['対', '処'],
    ['処', '法'],
    ['対', '策'],
    ['解', '決'],
    ['入', '門'],
    ['評', '判'],
    ['評', '価'],
    ['料', '金'],
    ['価', '格'],
    ['費', '用'],
    ['意', '味'],
    ['特', '徴'],
    ['種', '類'],
    ['一', '覧'],
    ['解', '説'],
    ['事', '例'],
    ['初', '心'],
    ['心', '者'],
    ['人', '気'],
    ['無', '料'],
    ['簡', '単'],
    ['推', '奨'],
    ['設', '定'],
    ['実', '装'],
    ['使', '用'],
    ['活', '用'],
    ['違', '点'],
];

/// Whether a kanji run that ends in these two characters names an intent.
#[inline]
pub(super) fn is_intent_han(pair: [char; 2]) -> bool {
    INTENT_HAN.contains(&pair)
}
