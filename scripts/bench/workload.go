package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/scry-ml/scry/pipeline"
	bundlev1 "github.com/scry-ml/scry/proto/scry/bundle/v1"
	imageanalysisv1 "github.com/scry-ml/scry/proto/scry/imageanalysis/v1"
	scoringv1 "github.com/scry-ml/scry/proto/scry/scoring/v1"
	sentimentv1 "github.com/scry-ml/scry/proto/scry/sentiment/v1"
)

// workload is one kind of traffic.
type workload struct {
	name, model string
	callers     int
	// batches that the bare session tries: its best one counts.
	batches []int
	// call makes one request with fresh items and returns their number.
	call func(ctx context.Context, d *daemon, rng *rand.Rand) (int, error)
	// prepare makes one fresh item as the bare session takes it, with the same
	// preprocessing as the daemon's.
	prepare func(ctx context.Context, p *pipeline.Pipeline, rng *rand.Rand) (pipeline.Item, error)
	// decoded says that preparing is part of the work (pictures), so that the
	// bare session prepares inside its rounds too.
	decoded bool
	bound   float64 // of the ratio; 0 = nothing is promised
}

const (
	rowsPerCall  = 100
	rowsPerTable = 1000
)

func workloads() []workload {
	return []workload{
		{
			name: fmt.Sprintf("churn, %d rows a call, 16 callers", rowsPerCall), model: "churn", callers: 16, batches: []int{rowsPerCall, 1000},
			call: func(ctx context.Context, d *daemon, rng *rand.Rand) (int, error) {
				req := &scoringv1.ScoreRequest{Model: "churn", Instances: make([]*scoringv1.Instance, rowsPerCall)}
				for i := range req.Instances {
					req.Instances[i] = &scoringv1.Instance{Features: pooledRow(rng)}
				}
				resp, err := d.client.Score(ctx, req)
				if err != nil {
					return 0, err
				}
				return check(resp.GetResults())
			},
			prepare: func(_ context.Context, p *pipeline.Pipeline, rng *rand.Rand) (pipeline.Item, error) {
				item, _, err := p.Row(row(rng))
				return item, err
			},
		},
		{
			name: fmt.Sprintf("churn, a table of %d rows a call, 16 callers", rowsPerTable), model: "churn", callers: 16, batches: []int{rowsPerCall, rowsPerTable}, bound: 0.8,
			call: func(ctx context.Context, d *daemon, rng *rand.Rand) (int, error) {
				pool := tablePool()
				var body []byte
				if err := d.raw[rng.IntN(len(d.raw))].Invoke(ctx, scoringv1.ScoringService_Score_FullMethodName, &pool[rng.IntN(len(pool))], &body, callOptions...); err != nil {
					return 0, err
				}
				answer := &scoringv1.ScoreResponse{}
				if err := proto.Unmarshal(body, answer); err != nil {
					return 0, err
				}
				t := answer.GetTable()
				if len(t.GetErrors()) > 0 || len(t.GetHeads()["churn"].GetProbability().GetProbability()) != rowsPerTable {
					return 0, errors.New("a row failed")
				}
				return rowsPerTable, nil
			},
			prepare: func(_ context.Context, p *pipeline.Pipeline, rng *rand.Rand) (pipeline.Item, error) {
				item, _, err := p.Row(row(rng))
				return item, err
			},
		},
		{
			name: "sentiment, one text a call, 16 callers", model: "sentiment", callers: 16, batches: []int{1, 8, 16, 32},
			call: func(ctx context.Context, d *daemon, rng *rand.Rand) (int, error) {
				resp, err := d.client.AnalyzeText(ctx, &sentimentv1.AnalyzeTextRequest{Texts: []*sentimentv1.TextItem{{Content: &sentimentv1.TextItem_Text{Text: text(rng)}}}})
				if err != nil {
					return 0, err
				}
				return check(resp.GetResults())
			},
			prepare: func(_ context.Context, p *pipeline.Pipeline, rng *rand.Rand) (pipeline.Item, error) {
				return p.Text(text(rng))
			},
		},
		{
			name: "products, one JPEG 640×480 a call, 16 callers", model: "products", callers: 16, batches: []int{1, 8, 16}, decoded: true, bound: 0.85,
			call: func(ctx context.Context, d *daemon, rng *rand.Rand) (int, error) {
				resp, err := d.client.AnalyzeImages(ctx, &imageanalysisv1.AnalyzeImagesRequest{Images: []*imageanalysisv1.ImageItem{{Content: picture(rng)}}})
				if err != nil {
					return 0, err
				}
				return check(resp.GetResults())
			},
			prepare: func(ctx context.Context, p *pipeline.Pipeline, rng *rand.Rand) (pipeline.Item, error) {
				image, err := p.Image(ctx, picture(rng))
				return image.Item, err
			},
		},
	}
}

// check counts results and fails on the first that has an error: item errors
// live inside OK answers.
func check[R interface{ GetPredictionId() string }](results []R) (int, error) {
	for _, r := range results {
		if r.GetPredictionId() == "" {
			return 0, errors.New("an item failed")
		}
	}
	return len(results), nil
}

// serve loads the daemon with a closed loop of callers and returns items per
// second and the time of every call.
func (w workload) serve(ctx context.Context, d *daemon, callers int, length time.Duration) (float64, []time.Duration, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var (
		group  sync.WaitGroup
		mu     sync.Mutex
		times  []time.Duration
		first  error
		items  atomic.Int64
		start  = time.Now()
		finish = start.Add(length)
	)
	for k := range callers {
		group.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(start.UnixNano()), uint64(k)))
			var mine []time.Duration
			for time.Now().Before(finish) {
				begin := time.Now()
				n, err := w.call(ctx, d, rng)
				if err != nil {
					mu.Lock()
					if first == nil {
						first = err
					}
					mu.Unlock()
					cancel()
					return
				}
				mine = append(mine, time.Since(begin))
				items.Add(int64(n))
			}
			mu.Lock()
			times = append(times, mine...)
			mu.Unlock()
		})
	}
	group.Wait()
	return float64(items.Load()) / time.Since(start).Seconds(), times, first
}

// row makes a customer up from the churn manifest's own categories and ranges.
func row(rng *rand.Rand) *structpb.Struct {
	fields := make(map[string]*structpb.Value, len(features))
	for _, f := range features {
		low, high := f.GetMin(), f.GetMax()
		switch f.GetType() {
		case bundlev1.FeatureType_FEATURE_TYPE_STRING:
			if c := f.GetCategories(); len(c) > 0 {
				fields[f.GetName()] = structpb.NewStringValue(c[rng.IntN(len(c))])
			}
		case bundlev1.FeatureType_FEATURE_TYPE_BOOL:
			fields[f.GetName()] = structpb.NewBoolValue(rng.IntN(2) == 0)
		case bundlev1.FeatureType_FEATURE_TYPE_INT:
			fields[f.GetName()] = structpb.NewNumberValue(math.Trunc(low + rng.Float64()*(high-low)))
		default:
			fields[f.GetName()] = structpb.NewNumberValue(low + rng.Float64()*(high-low))
		}
	}
	return &structpb.Struct{Fields: fields}
}

// Rows are made once: what is measured is the daemon, not their making.
var rowPool = sync.OnceValue(func() []*structpb.Struct {
	rng := rand.New(rand.NewPCG(11, 13))
	pool := make([]*structpb.Struct, 8192)
	for i := range pool {
		pool[i] = row(rng)
	}
	return pool
})

func pooledRow(rng *rand.Rand) *structpb.Struct {
	pool := rowPool()
	return pool[rng.IntN(len(pool))]
}

// tablePool holds encoded requests with a table each; a call takes one of them.
var tablePool = sync.OnceValue(func() [][]byte {
	rng := rand.New(rand.NewPCG(17, 19))
	pool := make([][]byte, 64)
	for i := range pool {
		// A message of strings and numbers always encodes.
		pool[i], _ = proto.Marshal(&scoringv1.ScoreRequest{Model: "churn", Table: table(rng)})
	}
	return pool
})

// table lays rows out as columns.
func table(rng *rand.Rand) *scoringv1.Table {
	t := &scoringv1.Table{Rows: rowsPerTable}
	for _, f := range features {
		c := &scoringv1.Column{Name: f.GetName()}
		switch f.GetType() {
		case bundlev1.FeatureType_FEATURE_TYPE_STRING:
			s := &scoringv1.Strings{Dictionary: f.GetCategories()}
			for range rowsPerTable {
				s.Indices = append(s.Indices, uint32(rng.IntN(len(s.GetDictionary()))))
			}
			c.Data = &scoringv1.Column_Strings{Strings: s}
		case bundlev1.FeatureType_FEATURE_TYPE_INT:
			n := &scoringv1.Int64S{}
			for range rowsPerTable {
				n.Values = append(n.Values, int64(f.GetMin()+rng.Float64()*(f.GetMax()-f.GetMin())))
			}
			c.Data = &scoringv1.Column_Int64S{Int64S: n}
		default:
			d := &scoringv1.Doubles{}
			for range rowsPerTable {
				d.Values = append(d.Values, f.GetMin()+rng.Float64()*(f.GetMax()-f.GetMin()))
			}
			c.Data = &scoringv1.Column_Doubles{Doubles: d}
		}
		t.Columns = append(t.Columns, c)
	}
	return t
}

var features []*bundlev1.Feature // of the churn bundle; set before its rounds

var words = strings.Fields(`the product delivery service quality price nice terrible love hate arrived late broken again
	never always recommend friend refund money good bad excellent poor package support helpful rude battery screen
	товар доставка качество цена хороший плохой отлично ужасно быстро медленно рекомендую никогда деньги возврат поддержка
	магазин заказ пришёл сломан доволен разочарован упаковка курьер очень просто`)

// text makes up a review of log-normal length: median 16 words, sigma 0.8.
func text(rng *rand.Rand) string {
	n := int(math.Round(math.Exp(rng.NormFloat64()*0.8) * 16))
	n = min(max(n, 3), 90)
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(words[rng.IntN(len(words))])
	}
	return b.String()
}

// picture encodes a made-up photograph: smooth colours with some texture, one
// of a pool with a number that makes every file's bytes unique.
func picture(rng *rand.Rand) []byte {
	pool := pictures()
	base := pool[rng.IntN(len(pool))]
	// A JPEG comment before the end of the image keeps pixels and size alike.
	comment := fmt.Sprintf("%016x", rng.Uint64())
	out := make([]byte, 0, len(base)+4+len(comment))
	out = append(out, base[:2]...)
	out = append(out, 0xff, 0xfe, 0, byte(2+len(comment)))
	out = append(out, comment...)
	return append(out, base[2:]...)
}

var pictures = sync.OnceValue(func() [][]byte {
	out := make([][]byte, 16)
	for k := range out {
		rng := rand.New(rand.NewPCG(7, uint64(k)))
		img := image.NewRGBA(image.Rect(0, 0, 640, 480))
		fx, fy, ph := 1+rng.Float64()*6, 1+rng.Float64()*6, rng.Float64()*6
		for y := range 480 {
			for x := range 640 {
				v := math.Sin(float64(x)/640*fx+ph) * math.Cos(float64(y)/480*fy)
				img.Set(x, y, color.RGBA{uint8(128 + 90*v), uint8(128 + 70*math.Sin(v*5+ph)), uint8(100 + 60*v + 20*rng.Float64()), 255})
			}
		}
		var b bytes.Buffer
		// Encoding to memory fails on impossible sizes only.
		_ = jpeg.Encode(&b, img, &jpeg.Options{Quality: 85})
		out[k] = b.Bytes()
	}
	return out
})
