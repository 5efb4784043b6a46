package sentence

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// kind is what a byte of a text may begin.
type kindOfByte uint8

const (
	other kindOfByte = iota
	plain            // an ASCII letter or digit
	blank
	stop
	open
	shut
	eyes // of an emoticon
	path // of an address
	high // not ASCII
)

var kinds = func() (k [256]kindOfByte) {
	for c := range k {
		switch {
		case c >= utf8.RuneSelf:
			k[c] = high
		case c >= '0' && c <= '9', c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z':
			k[c] = plain
		}
	}
	for c, kind := range map[string]kindOfByte{" \t\n\v\f\r": blank, ".!?": stop, "(": open, ")": shut, ":;=<^": eyes, "@/\\_": path} {
		for _, b := range []byte(c) {
			k[b] = kind
		}
	}
	return k
}()

func isSpace(c byte) bool { return kinds[c] == blank }

func isStop(r rune) bool {
	switch r {
	case '.', '!', '?', '…', '‼', '‽', '⁇', '⁈', '⁉', '؟', '۔', '।', '॥', '։', '።', '፧', '။', '។', '៕':
		return true
	}
	return isWide(r)
}

// isWide tells whether r is a stop behind which no space is written.
func isWide(r rune) bool {
	switch r {
	case '。', '．', '！', '？', '｡', '︒', '﹒', '﹖', '﹗':
		return true
	}
	return false
}

func isMark(r rune) bool { return r != '.' && r != '…' }

func isCloser(r rune) bool {
	switch r {
	case ')', ']', '}', '"', '\'', '»', '”', '’', '“', '›', '」', '』', '）', '】', '》', '〉', '］', '*', '_', '`':
		return true
	}
	return false
}

func isOpener(r rune) bool {
	switch r {
	case '(', '[', '{', '"', '\'', '«', '“', '„', '‘', '‚', '‹', '「', '『', '（', '【', '《', '〈', '［', '*', '_', '`', '¿', '¡':
		return true
	}
	return false
}

func isDash(r rune) bool { return r == '-' || r == '–' || r == '—' || r == '―' || r == '−' }

func isEmoji(r rune) bool {
	return r >= 0x1F000 && r <= 0x1FAFF || r >= 0x2600 && r <= 0x27BF || r == '⭐' || r == '⬆' || r == '⬇'
}

// word is the length of the longest word that is looked up, in bytes.
const word = 32

// wordBefore returns the word that ends at i, in small letters, and its begin. A
// number is a word. It is empty where no word ends there or where it is longer
// than any that is known.
func wordBefore(text string, i int, buf *[word]byte) ([]byte, int) {
	begin := i
	for begin > 0 {
		r, n := utf8.DecodeLastRuneInString(text[:begin])
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			break
		}
		if begin -= n; i-begin > word-utf8.UTFMax {
			return nil, begin
		}
	}
	return small(text[begin:i], buf), begin
}

// wordAt returns the word that text begins with, as wordBefore does. An apostrophe
// ends it.
func wordAt(text string, buf *[word]byte) []byte {
	end := 0
	for end < len(text) {
		r, n := utf8.DecodeRuneInString(text[end:])
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			break
		}
		if end += n; end > word-utf8.UTFMax {
			return nil
		}
	}
	return small(text[:end], buf)
}

// small writes s to buf in small letters, "ё" as "е".
func small(s string, buf *[word]byte) []byte {
	out := buf[:0]
	for _, r := range s {
		r = unicode.ToLower(r)
		if r == 'ё' {
			r = 'е'
		}
		if len(out)+utf8.RuneLen(r) > word {
			return nil
		}
		out = utf8.AppendRune(out, r)
	}
	return out
}

// starter tells whether text begins with a word that begins sentences and is no
// name.
func starter(text string) bool {
	var buf [word]byte
	w := wordAt(text, &buf)
	if !starters[string(w)] {
		return false
	}
	_, n := utf8.DecodeRuneInString(text)
	return len(w) > n || n >= len(text) || text[n] != '.' // "А. С. Пушкин"
}

// speech tells whether text begins with a name and a verb of speech.
func speech(text string) bool {
	var buf [word]byte
	for range 2 {
		text = strings.TrimLeft(text, " ")
		if w := wordAt(text, &buf); speechVerbs[string(w)] {
			return true
		}
		end := strings.IndexByte(text[:min(len(text), 40)], ' ')
		if end < 0 {
			return false
		}
		text = text[end:]
	}
	text = strings.TrimLeft(text, " ")
	return speechVerbs[string(wordAt(text, &buf))]
}

// weekday tells whether text begins with what follows "p.m." within a sentence.
func weekday(text string) bool {
	var buf [word]byte
	return weekdays[string(wordAt(text, &buf))]
}

// roman tells whether text begins with a Roman number.
func roman(text string) bool {
	n := 0
	for n < len(text) && n < 8 && strings.IndexByte("IVXLC", text[n]) >= 0 {
		n++
	}
	return n > 0 && (n == len(text) || kinds[text[n]] != plain && text[n] != '\'' && kinds[text[n]] != high) && (n > 1 || text[0] != 'I' || n == len(text) || text[n] != ' ')
}

// unit tells whether text begins with a number and an abbreviated unit: "10 коп.".
func unit(text string) bool {
	n := 0
	for n < len(text) && n < 12 && text[n] >= '0' && text[n] <= '9' {
		n++
	}
	rest := strings.TrimPrefix(text[n:], " ")
	var buf [word]byte
	w := wordAt(rest, &buf)
	class := abbreviations[string(w)]
	return class == tail || class == both
}

// numberBefore tells whether a number, in Arabic or Roman digits, stands before i.
func numberBefore(text string, i int) bool {
	j := i
	for j > 0 && j > i-3 {
		if r, n := utf8.DecodeLastRuneInString(text[:j]); unicode.IsSpace(r) {
			j -= n
			continue
		}
		break
	}
	if j == 0 {
		return false
	}
	if c := text[j-1]; c >= '0' && c <= '9' {
		return true
	}
	begin := j
	for begin > 0 && j-begin < 8 && strings.IndexByte("IVX", text[begin-1]) >= 0 {
		begin--
	}
	if begin < j && (begin == 0 || isSpace(text[begin-1])) {
		return true
	}
	// "5 кв. м.", "3 тыс. р."
	if text[j-1] == '.' {
		var buf [word]byte
		w, _ := wordBefore(text, j-1, &buf)
		switch string(w) {
		case "кв", "куб", "тыс", "млн", "млрд", "пог":
			return true
		}
	}
	var buf [word]byte
	w, _ := wordBefore(text, j, &buf)
	switch string(w) {
	case "млн", "млрд", "кв", "куб", "несколько", "пару":
		return true
	}
	return false
}

// class is what may follow an abbreviation.
type class uint8

const (
	none     class = iota
	head           // what it belongs to: it ends no sentence
	numbered       // a number that it belongs to; else it is a word like others
	tail           // it ends what it belongs to, and maybe the sentence
	both           // tail behind a number, else head
	name           // part of a name: it ends a sentence before a word that is no name
	clock          // a.m. and p.m.
)

func set(lists ...string) map[string]bool {
	m := map[string]bool{}
	for _, list := range lists {
		for w := range strings.FieldsSeq(list) {
			m[w] = true
		}
	}
	return m
}

func classes(lists map[class]string) map[string]class {
	m := map[string]class{}
	for c, list := range lists {
		for w := range strings.FieldsSeq(list) {
			m[w] = c
		}
	}
	return m
}

var abbreviations = classes(map[class]string{
	head: `mr mrs ms dr prof rev fr gen col sgt capt cpt lt cmdr maj gov sen rep hon pres messrs mme mlle mx supt
		vs v cf viz approx dept tel fax attn misc incl excl ft mt eg ie ca resp
		проф акад доц инж ген полк подполк кап адм ком св свв им тов гр гн г-н г-жа чл корр зав зам нач дир пом сот
		ул просп пл пер бул бульв наб ш пос дер обл респ окр р-н корп влад стр оф эт под ауд лит мкр
		см ср напр т н англ нем фр франц исп итал лат греч рус русск укр польск яп кит араб тур евр
		тел факс моб доб эл адр инв рег ок ориг пер прим примеч сокр устар разг букв перен преим соотв
		ред сост изд-во илл худ реж муз сл комп авт арх канд докт мл ст гос нац фед мин-во внутр внеш
		кн пп ч гл разд подр подразд абз рис табл илл фиг вып`,
	numbered: `no nos p pp vol vols fig figs ch chap sec sect art par para eq ref ed eds op ex ext app
		jan feb apr jun jul aug sep sept oct nov dec nr num tab c`,
	tail: `etc min max hr hrs sec lb lbs oz kg km cm mm ml ea
		руб коп долл дол тыс млн млрд трлн шт экз кг мг гр мл км мм см га сек час мин сут мес нед дн
		гг вв др проц уп упак пач кор комн чел`,
	both: `г м с в д л к р п ч кв стр см мин час т а б гр лет э`,
	name: `inc ltd corp co jr sr st ave blvd rd bros llc plc al ph esq`,
})

// pairs are abbreviations of two words.
var pairs = classes(map[class]string{
	head:  `e.g i.e т.е т.к т.н и.о в.о и.с ж.д а.е s.t w.r p.s н.с к.т`,
	tail:  `т.д т.п т.ч н.э л.с кв.м куб.м кв.км куб.см р.х б.у м.п с.г т.г`,
	clock: `a.m p.m`,
})

var starters = set(
	`the a this that these those he she it we they i you my his her its our their your there here in on at by for from
	with as if when while where what why who how but and so or yet after before since because although however then now
	also not no yes all some many most both each every another such once until despite during let please is are was were
	do does did can could would will should has have had nobody everyone everything nothing something today yesterday
	tomorrow meanwhile instead later finally perhaps maybe nevertheless moreover to one thanks`,
	`он она оно они я мы ты вы это этот эта эти этого этому этим этой того тот та те то в во на но а и или ибо если когда
	как какой какая какие что чтобы кто где куда откуда почему зачем потом затем после далее также так там тут здесь
	теперь сейчас у к ко с со о об по за до от из для при без под над через про мой моя мое мои моего его ее их ему ей им
	наш наша наше наши ваш ваша ваше ваши свой своя свои всё все весь вся всего не нет ни да очень хотя поэтому однако
	кроме вот уже еще сегодня вчера завтра потому тогда впрочем наконец кстати спасибо пожалуйста именно только лишь даже
	каждый каждая многие никто ничто некоторые такой такая такие сам сама сами пока было был была были будет есть можно
	нужно надо нельзя итак значит конечно вероятно возможно правда зато ведь пусть между среди вместо благодаря во-первых
	нам нас вам вас мне меня тебе тебя себя чем чего чему`)

// labels are words that a single letter follows as a name.
var labels = set(`vitamin vitamins plan class type group option section grade category hepatitis point letter variant model part room side row
	gate team exhibit appendix
	витамин витамина витамины витаминов план плана класс класса тип типа группа группы группе вариант варианта категория категории
	категорию пункт пункта пункте буква буквы букву модель точка точки точку точке подъезд корпус секция ряд зона зоны зоне
	приложение гепатит гепатита`)

var speechVerbs = set(`said says asked asks replied cried shouted answered exclaimed whispered yelled added called screamed
	thought wondered muttered snapped demanded insisted laughed`)

var weekdays = set(`monday tuesday wednesday thursday friday saturday sunday est edt cst cdt mst mdt pst pdt et ct mt pt gmt utc
	msk bst cet`)

// domains end names of hosts and files.
var domains = set(`com net org ru su io ai dev app info biz me tv co uk de fr ua by kz рф js ts py md txt pdf jpg png html htm php xml csv`)
