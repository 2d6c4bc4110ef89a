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
    /// Word that is a verb or a noun, by its place.
    Either,
    /// Verb of the third person that is also a plural.
    Third,
    /// Noun in -ing.
    Gerund,
    /// Head of the name of an institution: department of, bank of …
    Office,
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
        "i you he she it we they me him her them my your his its our their mine yours hers ours theirs myself \
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
        "get find make create convert tell give add remove delete build install run start stop explain describe define \
         identify send open write read calculate compute parse merge split join insert upgrade extract generate \
         implement configure enable disable allow prevent avoid handle catch throw return pass declare override extend \
         render choose pick discuss summarize summarise locate determine connect disconnect bind attach detach wrap \
         unwrap encode decode encrypt decrypt compress iterate loop concatenate append prepend format let keep learn \
         teach understand know see listen buy sell pay reserve cancel remind remember forget bake grow lose gain reduce increase \
         improve optimize optimise want need ask say think believe happen go come take bring die eat become apply \
         retrieve fetch resize crop detect recognize recognise predict classify validate verify initialize initialise \
         reset restart reload refresh register unregister subscribe sync migrate restore recover mount unmount specify \
         customize customise align suggest recommend provide modify transform serialize deserialize unzip uncompress \
         flatten reverse invert normalize normalise randomize shuffle truncate strip escape unescape sanitize redirect \
         rename copy move save hide print clear check count delete assign allocate invoke execute instantiate traverse \
         populate highlight adjust arrange combine divide multiply subtract integrate embed expand collapse toggle \
         ensure enforce prove solve simulate visualize visualise show list put tie deploy debug fix \
         substitute replace claim obtain acquire enlarge prepare protect treat cure diagnose manage develop design",
    ),
    (
        Role::Either,
        "set call close update download upload import export load sort filter display select look search measure test \
         draw plot turn help watch play order book schedule cook clean wash plant train speed like try answer mean \
         work live drink sleep use access query scan scale rotate trim estimate cluster backup center switch \
         swap force change name compare round view post share match group map track report request review sign feel \
         rent move hold hire travel visit walk drive ride talk contact repair study practice support log lock link edit \
         influence affect kill fight remain stay appear exist fail hit cut",
    ),
    (
        Role::Third,
        "returns shows displays uses changes impacts affects influences divides disrupts pleads supports hits cuts calls \
         moves claims reports plans holds helps calls kills feels looks runs stays fights faces opens closes causes \
         appears throws ignores overrides loads renders behaves requires needs wants means works blocks boosts cures \
         reduces triggers improves lowers raises strikes accuses faces beats wins defeats launches announces kills orders signs visits warns threatens urges rejects approves bans seeks drops hits",
    ),
    (
        Role::Gerund,
        "running driving hiking shopping parking dining sewing washing wedding housing swimming fishing camping clothing \
         training meeting evening morning spring string ring king wing sibling ceiling painting drawing boxing gaming \
         engineering marketing advertising accounting banking nursing manufacturing processing programming learning \
         mining planning testing hearing heating cooling lighting flooring roofing plumbing bedding dressing gardening \
         knitting mapping modeling modelling networking packaging pricing printing publishing racing recycling rating \
         ranking sailing savings screening setting skating skiing staffing steering streaming tracking trading vending \
         voting warning earring stocking cycling golfing cooking baking boating rafting lending boeing viking sterling \
         sling bling thing things something living wearing cleaning counseling consulting grading being \
         computing imaging filing zoning logging caching indexing encoding parsing scheduling routing sharing hosting saving siding towing sliding opening waiting holding rolling folding",
    ),
    (
        Role::Office,
        "department dept ministry bureau commission committee board university college institute academy society \
         association agency office division bank museum church kingdom republic house lord lords king queen prince \
         duke battle treaty war declaration statue tower isle council school state city county district court center \
         centre foundation federation union administration club bay gulf cape mount town port village code notice bill office title united national game book world legend pirates",
    ),
    (
        Role::Finite,
        "makes made gets got gives gave given goes went gone comes came takes took taken says said knows knew known \
         becomes became keeps kept finds found thinks thought wants wanted needs needed works worked happens happened \
         happening decided decide decides told forgot forgotten asked tells asks means meant wrote written writes sang sung sings \
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
const GRAMMAR_HAN: &str = "方時人為事物所前後中上下内間年月日名数際場違教対使見言的知作行来";

/// Whether a kanji that stands alone keeps its own name in the template.
#[inline]
pub(super) fn is_grammar_han(c: char) -> bool {
    GRAMMAR_HAN.contains(c)
}

/// What follows 多 in Chinese questions of quantity (多少, 多大, 多远).
#[inline]
pub(super) fn is_quantity_han(c: char) -> bool {
    matches!(c, '少' | '大' | '远' | '久' | '高' | '长' | '重' | '深')
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
