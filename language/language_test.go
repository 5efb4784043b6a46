package language

import (
	"bufio"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// sentences were written for this test, one or two for each language.
var sentences = map[string][]string{
	"ru": {"Вчера мы купили новый телефон и остались довольны.", "Почему вы так долго не отвечали на моё письмо?"},
	"uk": {"Учора ми купили новий телефон і залишилися задоволені.", "Чому ви так довго не відповідали на мій лист?"},
	"be": {"Учора мы купілі новы тэлефон і засталіся задаволеныя.", "Чаму вы так доўга не адказвалі на мой ліст?"},
	"bg": {"Вчера купихме нов телефон и останахме доволни.", "Защо толкова дълго не отговаряхте на писмото ми?"},
	"sr": {"Јуче смо купили нови телефон и били смо задовољни.", "Зашто тако дуго нисте одговарали на моје писмо?"},
	"mk": {"Вчера купивме нов телефон и останавме задоволни.", "Зошто толку долго не одговаравте на моето писмо?"},
	"kk": {"Кеше біз жаңа телефон сатып алдық және қуандық.", "Неге менің хатыма сонша ұзақ жауап бермедіңіз?"},
	"ky": {"Кечээ биз жаңы телефон сатып алдык жана кубандык.", "Эмне үчүн менин катыма ушунча көпкө жооп бербедиңиз?"},
	"mn": {"Өчигдөр бид шинэ утас авсан бөгөөд маш их баярласан.", "Та яагаад миний захидалд ийм удаан хариулаагүй вэ?"},
	"en": {"Yesterday we bought a new phone and were happy with it.", "Why did you take so long to answer my letter?"},
	"de": {"Gestern haben wir ein neues Telefon gekauft und waren zufrieden.", "Warum haben Sie so lange nicht auf meinen Brief geantwortet?"},
	"fr": {"Hier nous avons acheté un nouveau téléphone et nous sommes contents.", "Pourquoi avez-vous mis si longtemps à répondre à ma lettre ?"},
	"es": {"Ayer compramos un teléfono nuevo y quedamos muy contentos.", "¿Por qué tardaste tanto en contestar mi carta?"},
	"it": {"Ieri abbiamo comprato un nuovo telefono e siamo rimasti contenti.", "Perché ci avete messo così tanto a rispondere alla mia lettera?"},
	"pt": {"Ontem comprámos um telefone novo e ficámos muito contentes.", "Por que você demorou tanto para responder à minha carta?"},
	"nl": {"Gisteren hebben we een nieuwe telefoon gekocht en we waren blij.", "Waarom heeft u zo lang niet op mijn brief geantwoord?"},
	"pl": {"Wczoraj kupiliśmy nowy telefon i byliśmy zadowoleni.", "Dlaczego tak długo nie odpowiadaliście na mój list?"},
	"cs": {"Včera jsme koupili nový telefon a byli jsme spokojeni.", "Proč jste tak dlouho neodpovídali na můj dopis?"},
	"sk": {"Včera sme kúpili nový telefón a boli sme spokojní.", "Prečo ste tak dlho neodpovedali na môj list?"},
	"sl": {"Včeraj smo kupili nov telefon in smo bili zadovoljni.", "Zakaj tako dolgo niste odgovorili na moje pismo?"},
	"hr": {"Jučer smo kupili novi telefon i bili smo zadovoljni.", "Zašto tako dugo niste odgovarali na moje pismo?"},
	"ro": {"Ieri am cumpărat un telefon nou și am fost mulțumiți.", "De ce ați răspuns atât de târziu la scrisoarea mea?"},
	"sv": {"I går köpte vi en ny telefon och blev nöjda.", "Varför dröjde ni så länge med att svara på mitt brev?"},
	"da": {"I går købte vi en ny telefon og blev glade for den.", "Hvorfor svarede I ikke på mit brev i så lang tid?"},
	"no": {"I går kjøpte vi en ny telefon og ble fornøyde.", "Hvorfor tok det så lang tid før dere svarte på brevet mitt?"},
	"fi": {"Eilen ostimme uuden puhelimen ja olimme tyytyväisiä.", "Miksi vastasitte kirjeeseeni niin myöhään?"},
	"hu": {"Tegnap vettünk egy új telefont, és elégedettek voltunk.", "Miért nem válaszoltak ilyen sokáig a levelemre?"},
	"id": {"Kemarin kami membeli telepon baru dan kami merasa puas.", "Mengapa Anda begitu lama tidak menjawab surat saya?"},
	"vi": {"Hôm qua chúng tôi đã mua một chiếc điện thoại mới.", "Tại sao bạn lại trả lời thư của tôi muộn như vậy?"},
	"tr": {"Dün yeni bir telefon aldık ve çok memnun kaldık.", "Mektubuma neden bu kadar geç cevap verdiniz?"},
	"az": {"Dünən yeni telefon aldıq və çox məmnun qaldıq.", "Niyə mənim məktubuma bu qədər gec cavab verdiniz?"},
	"ca": {"Ahir vam comprar un telèfon nou i vam quedar contents.", "Per què heu trigat tant a respondre la meva carta?"},
	"lt": {"Vakar nusipirkome naują telefoną ir buvome patenkinti.", "Kodėl taip ilgai neatsakėte į mano laišką?"},
	"lv": {"Vakar mēs nopirkām jaunu tālruni un bijām apmierināti.", "Kāpēc jūs tik ilgi neatbildējāt uz manu vēstuli?"},
	"et": {"Eile ostsime uue telefoni ja jäime rahule.", "Miks te nii kaua minu kirjale ei vastanud?"},
	"ar": {"اشترينا أمس هاتفا جديدا وكنا سعداء به.", "لماذا تأخرتم كل هذا الوقت في الرد على رسالتي؟"},
	"fa": {"دیروز یک گوشی تازه خریدیم و از آن راضی بودیم.", "چرا این قدر دیر به نامه من پاسخ دادید؟"},
	"ur": {"کل ہم نے ایک نیا فون خریدا اور ہم خوش تھے۔", "آپ نے میرے خط کا جواب اتنی دیر سے کیوں دیا؟"},
	"el": {"Χθες αγοράσαμε ένα καινούργιο τηλέφωνο."}, "he": {"אתמול קנינו טלפון חדש והיינו מרוצים."}, "hi": {"कल हमने एक नया फ़ोन खरीदा।"},
	"zh": {"昨天我们买了一部新手机。"}, "ja": {"昨日、新しい携帯電話を買いました。"}, "ko": {"어제 우리는 새 전화기를 샀습니다."},
	"th": {"เมื่อวานเราซื้อโทรศัพท์ใหม่"}, "ka": {"გუშინ ახალი ტელეფონი ვიყიდეთ."}, "hy": {"Երեկ մենք նոր հեռախոս գնեցինք։"},
	"bn": {"গতকাল আমরা একটি নতুন ফোন কিনেছি।"}, "ta": {"நேற்று புதிய தொலைபேசி வாங்கினோம்."}, "te": {"నిన్న కొత్త ఫోన్ కొన్నాము."},
}

func TestDetect(t *testing.T) {
	for want, texts := range sentences {
		for _, text := range texts {
			if got, p := Detect(text); got != want || p < 0.3 || p > 1 {
				t.Errorf("%s %.2f, want %s: %s", got, p, want, text)
			}
			if got, _ := Detect(strings.ToUpper(text)); got != want {
				t.Errorf("%s, want %s: %s", got, want, strings.ToUpper(text))
			}
		}
	}
}

func TestUndetermined(t *testing.T) {
	for _, text := range []string{"", " \n", "12345", "!!! :)", "😀😀", "\xff\xfe", "ᚠᚢᚦ", "\x00"} {
		if code, p := Detect(text); code != Undetermined || p != 0 {
			t.Errorf("%q: %s %v, want und 0", text, code, p)
		}
	}
}

// Where the words could be of several languages they are taken for Russian or
// English.
func TestPrior(t *testing.T) {
	for text, want := range map[string]string{"Президент Путин": "ru", "информация": "ru", "важно": "ru", "no problem": "en"} {
		if code, p := Detect(text); code != want {
			t.Errorf("%s %.2f, want %s: %s", code, p, want, text)
		}
	}
}

// The script with most letters counts, and the probability tells of the others.
func TestScripts(t *testing.T) {
	text := "Купил себе новый Samsung Galaxy и очень доволен покупкой"
	code, p := Detect(text)
	if code != "ru" || p > 0.75 {
		t.Errorf("%s %v, want ru below 0.75: a quarter is Latin", code, p)
	}
	if code, _ := Detect("東京へ行きました"); code != "ja" {
		t.Errorf("%s, want ja", code)
	}
}

// What lies behind the first 4 KiB is not read, nor is a character cut in two.
func TestBounded(t *testing.T) {
	head := strings.Repeat("Это русский текст. ", 300)
	code, p := Detect(head)
	more, q := Detect(head + strings.Repeat("This is English. ", 100000))
	if code != "ru" || more != code || p != q {
		t.Errorf("%s %v became %s %v", code, p, more, q)
	}
	if code, p := Detect(strings.Repeat("a", limit-1) + "я"); code == Undetermined || p == 0 {
		t.Errorf("%s %v", code, p)
	}
	start := time.Now()
	for range 20 {
		Detect(strings.Repeat("ж", 4<<20)[:4<<20])
	}
	if d := time.Since(start); d > 5*time.Second {
		t.Errorf("20 texts of 4 MiB took %v", d)
	}
}

func TestAllocations(t *testing.T) {
	Detect("unpacks the model")
	if n := testing.AllocsPerRun(100, func() { Detect("Вчера мы купили новый телефон") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

var measure = flag.String("measure", "", "lines of code, source, text, as scripts/models/language.py --measure writes them")

// TestMeasure prints the table of the README: go test ./language -run Measure -v -measure FILE.
func TestMeasure(t *testing.T) {
	if *measure == "" {
		t.Skip("no -measure")
	}
	file, err := os.Open(*measure)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	type key struct{ source, code string }
	taken := map[key]map[string]int{}
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		part := strings.SplitN(lines.Text(), "\t", 3)
		if len(part) != 3 {
			t.Fatalf("%q has not three columns", lines.Text())
		}
		k := key{part[1], part[0]}
		if taken[k] == nil {
			taken[k] = map[string]int{}
		}
		code, _ := Detect(part[2])
		taken[k][code]++
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	var rows []string
	for k, codes := range taken {
		total := 0
		var others []string
		for code, n := range codes {
			total += n
			if code != k.code {
				others = append(others, fmt.Sprintf("%s %d", code, n))
			}
		}
		slices.Sort(others)
		rows = append(rows, fmt.Sprintf("| %s | %s | %d | %.4f | %s |", k.source, k.code, total, float64(codes[k.code])/float64(total), strings.Join(others, ", ")))
	}
	slices.Sort(rows)
	t.Log("\n" + strings.Join(rows, "\n"))
}

func FuzzDetect(f *testing.F) {
	for _, texts := range sentences {
		f.Add(texts[0])
	}
	f.Add("\xff я 漢字 kana かな")
	f.Fuzz(func(t *testing.T, text string) {
		code, p := Detect(text)
		if (code == Undetermined) != (p == 0) || !(p >= 0 && p <= 1) {
			t.Fatalf("%q: %s %v", text, code, p)
		}
		if code != Undetermined && sentences[code] == nil {
			t.Fatalf("%q: %s is no language of this package", text, code)
		}
	})
}

func BenchmarkDetect(b *testing.B) {
	text := strings.Repeat("Вчера мы купили новый телефон и остались довольны. ", 40)[:2000]
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		Detect(text)
	}
}
