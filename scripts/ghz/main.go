// Command ghz writes the requests that the load tests in this folder send:
// score.json, text.json and image.json, each a JSON array in which one element is
// one request of one item, all of them different. The same Go release writes
// the same bytes. image.json is too large to be committed. Run it as
// go run ./scripts/ghz
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image"
	"image/jpeg"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"

	"golang.org/x/image/draw"
)

const (
	folder   = "scripts/ghz"
	rows     = 1000
	texts    = 1000
	pictures = 1000
)

func main() {
	random := rand.New(rand.NewPCG(20260101, 1))
	photos, err := readPhotos("scripts/demo/cat.jpg", "scripts/demo/coffee.jpg")
	if err != nil {
		fail(err)
	}
	for _, file := range []struct {
		name string
		n    int
		make func(i int) (any, error)
	}{
		{"score.json", rows, func(i int) (any, error) { return scoreRequest(random, i), nil }},
		{"text.json", texts, func(i int) (any, error) { return textRequest(random, i), nil }},
		{"image.json", pictures, func(i int) (any, error) { return imageRequest(random, i, photos) }},
	} {
		if err := write(filepath.Join(folder, file.name), file.n, file.make); err != nil {
			fail(err)
		}
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "ghz:", err)
	os.Exit(1)
}

// write writes n requests as an array, one a line.
func write(path string, n int, request func(i int) (any, error)) error {
	var out bytes.Buffer
	separator := "["
	for i := range n {
		r, err := request(i)
		if err != nil {
			return err
		}
		line, err := json.Marshal(r)
		if err != nil {
			return err
		}
		out.WriteString(separator)
		out.Write(line)
		separator = ",\n"
	}
	out.WriteString("]\n")
	return os.WriteFile(path, out.Bytes(), 0o644)
}

func pick(random *rand.Rand, from ...string) string { return from[random.IntN(len(from))] }

// scoreRequest holds one invented customer. One in twenty lacks a feature, as in
// life.
func scoreRequest(random *rand.Rand, i int) any {
	tenure := random.IntN(73)
	monthly := 18.5 + float64(random.IntN(100))
	phone, internet := pick(random, "Yes", "Yes", "Yes", "No"), pick(random, "DSL", "Fiber optic", "Fiber optic", "No")
	addOn := func() string {
		if internet == "No" {
			return "No internet service"
		}
		return pick(random, "Yes", "No")
	}
	lines := pick(random, "Yes", "No")
	if phone == "No" {
		lines = "No phone service"
	}
	features := map[string]any{
		"gender": pick(random, "Female", "Male"), "SeniorCitizen": random.IntN(2), "Partner": pick(random, "Yes", "No"),
		"Dependents": pick(random, "Yes", "No"), "tenure": tenure, "PhoneService": phone,
		"MultipleLines":   lines,
		"InternetService": internet, "OnlineSecurity": addOn(), "OnlineBackup": addOn(), "DeviceProtection": addOn(),
		"TechSupport": addOn(), "StreamingTV": addOn(), "StreamingMovies": addOn(),
		"Contract":         pick(random, "Month-to-month", "Month-to-month", "One year", "Two year"),
		"PaperlessBilling": pick(random, "Yes", "No"),
		"PaymentMethod":    pick(random, "Electronic check", "Mailed check", "Bank transfer (automatic)", "Credit card (automatic)"),
		"MonthlyCharges":   monthly, "TotalCharges": monthly * float64(tenure),
	}
	if random.IntN(20) == 0 {
		delete(features, pick(random, "TotalCharges", "gender", "PaymentMethod"))
	}
	return map[string]any{
		"instances": []any{map[string]any{"id": fmt.Sprintf("c%d", i), "features": features}},
		"options":   map[string]any{"reasons": 3},
	}
}

// Of these the texts are put together; each phrase is about five words long.
var (
	russian = [][]string{
		{"Заказывал чайник на прошлой неделе", "Брала куртку для сына", "Второй раз покупаю здесь", "Купили пылесос по акции", "Взял наушники вместо старых"},
		{"доставили на день раньше срока", "курьер опоздал на три часа", "упаковка была вся помята", "всё пришло целым и вовремя", "размер не подошёл совсем"},
		{"качество приятно удивило", "пластик дешёвый и скрипит", "работает тихо и быстро", "сломалось через неделю", "цвет точно как на фото"},
		{"поддержка ответила за пять минут", "деньги до сих пор не вернули", "магазин открыт до восьми", "в коробке лежала инструкция", "обменяли без лишних вопросов"},
	}
	english = [][]string{
		{"Ordered this kettle last week", "Bought the jacket for my son", "This is my second purchase here", "We picked the vacuum on sale", "Got these headphones as a gift"},
		{"it came a day early", "the courier was three hours late", "the box was badly crushed", "everything arrived safe and on time", "the size was completely wrong"},
		{"the quality surprised me", "the plastic feels cheap and squeaks", "it runs quietly and fast", "it broke after a week", "the colour is as pictured"},
		{"support answered within five minutes", "I am still waiting for a refund", "the shop is open until eight", "there was a manual in the box", "they exchanged it without questions"},
	}
)

// textRequest holds one review, Russian or English. Its length is log-normal: of
// the phrases, four in the median and twelve in one of twenty.
func textRequest(random *rand.Rand, i int) any {
	language := russian
	if random.IntN(2) == 0 {
		language = english
	}
	phrases := min(60, max(1, int(math.Round(4*math.Exp(0.67*random.NormFloat64())))))
	var text bytes.Buffer
	for p := range phrases {
		switch {
		case p == 0:
		case p%4 == 0:
			text.WriteString(". ")
		default:
			text.WriteString(", ")
		}
		text.WriteString(pick(random, language[p%4]...))
	}
	fmt.Fprintf(&text, "%s №%d", pick(random, ".", "!"), 1000+i) // an order number, so that no two are equal
	return map[string]any{"texts": []any{map[string]any{"id": fmt.Sprintf("t%d", i), "text": text.String()}}}
}

// imageRequest holds a part of a photo, 240 to 296 pixels wide and high.
func imageRequest(random *rand.Rand, i int, photos []image.Image) (any, error) {
	photo := photos[random.IntN(len(photos))]
	side := 120 + random.IntN(photo.Bounds().Dy()-120)
	at := image.Pt(random.IntN(photo.Bounds().Dx()-side+1), random.IntN(photo.Bounds().Dy()-side+1))
	short := 240 + random.IntN(57)
	small := image.NewRGBA(image.Rect(0, 0, short, short))
	draw.CatmullRom.Scale(small, small.Bounds(), photo, image.Rectangle{Min: at, Max: at.Add(image.Pt(side, side))}, draw.Src, nil)
	var content bytes.Buffer
	if err := jpeg.Encode(&content, small, &jpeg.Options{Quality: 50}); err != nil {
		return nil, err
	}
	return map[string]any{"images": []any{map[string]any{"id": fmt.Sprintf("p%d", i), "content": content.Bytes()}}}, nil
}

func readPhotos(paths ...string) ([]image.Image, error) {
	var photos []image.Image
	for _, path := range paths {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		photo, err := jpeg.Decode(f)
		f.Close()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		photos = append(photos, photo)
	}
	return photos, nil
}
