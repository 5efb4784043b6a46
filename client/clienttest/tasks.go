package clienttest

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"

	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/structpb"

	imageanalysisv1 "github.com/scry-ml/scry/proto/scry/imageanalysis/v1"
	scoringv1 "github.com/scry-ml/scry/proto/scry/scoring/v1"
	sentimentv1 "github.com/scry-ml/scry/proto/scry/sentiment/v1"
	servingv1 "github.com/scry-ml/scry/proto/scry/serving/v1"
)

// scoring gives a row the probability 1 − exp(−sum of its numbers / 100), and the
// numbers as reasons. A row with a feature "fail" fails.
type scoring struct {
	scoringv1.UnimplementedScoringServiceServer
	server *Server
}

func (s *scoring) Score(_ context.Context, r *scoringv1.ScoreRequest) (*scoringv1.ScoreResponse, error) {
	_, served, err := s.server.store.route("scoring", r.GetModel(), r.GetVersion())
	if err != nil {
		return nil, err
	}
	if t := r.GetTable(); t != nil {
		s.server.count("Score", int(t.GetRows()))
		return &scoringv1.ScoreResponse{Table: scoreTable(t, served)}, nil
	}
	s.server.count("Score", len(r.GetInstances()))
	resp := &scoringv1.ScoreResponse{}
	for i, instance := range r.GetInstances() {
		resp.Results = append(resp.Results, score(int64(i), instance, r.GetOptions(), served))
	}
	return resp, nil
}

func (s *scoring) StreamScore(call grpc.BidiStreamingServer[scoringv1.StreamScoreRequest, scoringv1.StreamScoreResponse]) error {
	var options *scoringv1.ScoreOptions
	var served *servingv1.ServedBy
	index := int64(0)
	return answerAll(call, func(r *scoringv1.StreamScoreRequest) (err error) {
		options = r.GetOptions()
		_, served, err = s.server.store.route("scoring", r.GetModel(), r.GetVersion())
		return err
	}, func(r *scoringv1.StreamScoreRequest) *scoringv1.StreamScoreResponse {
		s.server.count("StreamScore", len(r.GetInstances()))
		resp := &scoringv1.StreamScoreResponse{}
		for _, instance := range r.GetInstances() {
			resp.Results = append(resp.Results, score(index, instance, options, served))
			index++
		}
		return resp
	})
}

// answerAll answers the messages of a stream one by one. begin is told the first.
func answerAll[Req, Resp any](call grpc.BidiStreamingServer[Req, Resp], begin func(*Req) error, answer func(*Req) *Resp) error {
	for first := true; ; first = false {
		r, err := call.Recv()
		if err == io.EOF {
			return nil
		}
		if err == nil && first {
			err = begin(r)
		}
		if err == nil {
			err = call.Send(answer(r))
		}
		if err != nil {
			return err
		}
	}
}

func score(index int64, instance *scoringv1.Instance, options *scoringv1.ScoreOptions, served *servingv1.ServedBy) *scoringv1.ScoreResult {
	result := &scoringv1.ScoreResult{Id: instance.GetId(), Index: index}
	fields := instance.GetFeatures().GetFields()
	if _, fails := fields["fail"]; fails {
		result.Error = status.Convert(Error(codes.InvalidArgument, "FEATURE_INVALID",
			fmt.Sprintf(`instances[%d].features["fail"]: not a number`, index))).Proto()
		return result
	}
	sum := 0.0
	var reasons []*scoringv1.Reason
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		switch v := fields[name].GetKind().(type) {
		case *structpb.Value_NumberValue:
			sum += v.NumberValue
			reasons = append(reasons, &scoringv1.Reason{Feature: name, Code: strings.ToUpper(name), Text: name + " counts", Contribution: v.NumberValue / 100})
		case *structpb.Value_NullValue, nil:
			result.Warnings = append(result.Warnings, &servingv1.Warning{
				Code: servingv1.WarningCode_WARNING_CODE_FEATURE_IMPUTED, Field: fmt.Sprintf("instances[%d].features[%q]", index, name), Message: "missing",
			})
		}
	}
	slices.SortStableFunc(reasons, func(a, b *scoringv1.Reason) int {
		return -int(math.Copysign(1, math.Abs(a.Contribution)-math.Abs(b.Contribution)))
	})
	p := 1 - math.Exp(-sum/100)
	percentile := math.Round(100 * p)
	band := "low"
	if p >= 0.5 {
		band = "high"
	}
	result.Heads = map[string]*scoringv1.Head{"churn": {Kind: &scoringv1.Head_Probability{Probability: &scoringv1.Probability{
		Event: "churn", Probability: p, RawScore: sum, Threshold: 0.5, Predicted: p >= 0.5, Percentile: &percentile, Band: band,
		Reasons: reasons[:min(len(reasons), int(options.GetReasons()))],
	}}}}
	result.PredictionId = fmt.Sprintf("p%d", index)
	result.ServedBy = []*servingv1.ServedBy{served}
	return result
}

// ChooseAction chooses "call", with a tenth of the row's first number as its
// probability, for those whose probability is above zero. With Thompson sampling it
// draws the seed as a thousandth.
func (s *scoring) ChooseAction(_ context.Context, r *scoringv1.ChooseActionRequest) (*scoringv1.ChooseActionResponse, error) {
	_, served, err := s.server.store.route("scoring", r.GetModel(), r.GetVersion())
	if err != nil {
		return nil, err
	}
	s.server.count("ChooseAction", len(r.GetInstances()))
	t := r.GetOptions().GetThompson()
	resp := &scoringv1.ChooseActionResponse{Seed: t.GetSeed()}
	for i, instance := range r.GetInstances() {
		scored := score(int64(i), instance, nil, served)
		c := &scoringv1.ActionChoice{Id: scored.GetId(), Index: scored.GetIndex(), Error: scored.GetError(), Warnings: scored.GetWarnings()}
		resp.Results = append(resp.Results, c)
		if c.GetError() != nil {
			continue
		}
		c.PredictionId, c.ServedBy = scored.GetPredictionId(), scored.GetServedBy()
		p := instance.GetFeatures().GetFields()["tenure"].GetNumberValue() / 10
		if p <= 0 {
			c.Excluded = []*scoringv1.ExcludedAction{{Name: "call", Reason: scoringv1.ExclusionReason_EXCLUSION_REASON_UNPROFITABLE}}
			continue
		}
		a := &scoringv1.ChosenAction{Name: "call", Title: "A call", Probability: p, ExpectedProfit: 10*p - 1, Value: 10, Cost: 1}
		if t != nil {
			a.SampledProbability, a.Propensity = new(float64(t.GetSeed())/1000), new(float64(len(t.GetPosteriors()))/2)
			a.Creative = "evening"
		}
		c.Actions = []*scoringv1.ChosenAction{a}
	}
	return resp, nil
}

// ChooseSendTime chooses the earliest time, at a rate of a tenth for each message,
// and fails for those on Mars.
func (s *scoring) ChooseSendTime(_ context.Context, r *scoringv1.ChooseSendTimeRequest) (*scoringv1.ChooseSendTimeResponse, error) {
	_, served, err := s.server.store.route("scoring", r.GetModel(), r.GetVersion())
	if err != nil {
		return nil, err
	}
	s.server.count("ChooseSendTime", len(r.GetRecipients()))
	resp := &scoringv1.ChooseSendTimeResponse{}
	for i, to := range r.GetRecipients() {
		c := &scoringv1.SendTimeChoice{Id: to.GetId(), Index: int64(i)}
		resp.Results = append(resp.Results, c)
		if to.GetTimeZone() == "Mars" {
			c.Error = status.Convert(Error(codes.InvalidArgument, "TIME_ZONE_UNKNOWN", fmt.Sprintf("recipients[%d].time_zone: is no IANA time zone", i))).Proto()
			continue
		}
		n := float64(len(to.GetHistory()))
		c.PredictionId, c.ServedBy = fmt.Sprint("p", i), []*servingv1.ServedBy{{Model: served.GetModel(), Version: served.GetVersion()}}
		c.Times = []*scoringv1.SendTime{{
			Time: r.GetOptions().GetEarliest(), Slot: int32(len(r.GetOptions().GetQuietHours())), Rate: n / 10, PriorRate: 0.05, Observations: n,
		}}
	}
	return resp, nil
}

// Explain gives each number of a row a hundredth of itself as its contribution
// to their sum, against a base of 0.5 that nothing explains.
func (s *scoring) Explain(_ context.Context, r *scoringv1.ExplainRequest) (*scoringv1.ExplainResponse, error) {
	_, served, err := s.server.store.route("scoring", r.GetModel(), r.GetVersion())
	if err != nil {
		return nil, err
	}
	s.server.count("Explain", len(r.GetInstances()))
	resp := &scoringv1.ExplainResponse{}
	for i, instance := range r.GetInstances() {
		scored := score(int64(i), instance, &scoringv1.ScoreOptions{Reasons: math.MaxInt32}, served)
		p := scored.GetHeads()["churn"].GetProbability()
		e := &scoringv1.Explanation{Id: scored.GetId(), Index: scored.GetIndex(), Error: scored.GetError(), Warnings: scored.GetWarnings()}
		resp.Results = append(resp.Results, e)
		if e.GetError() != nil {
			continue
		}
		e.Head, e.Scale, e.Value, e.BaseValue = "churn", scoringv1.Scale_SCALE_RAW_SCORE, p.GetRawScore()/100, 0.5
		e.BackgroundRows, e.Evaluations, e.Seed = 100, 4096, r.GetOptions().GetSeed()
		e.AdditivityError = -0.5
		for _, reason := range p.GetReasons() {
			e.Contributions = append(e.Contributions, &scoringv1.Contribution{
				Feature: reason.GetFeature(), Code: reason.GetCode(), Text: reason.GetText(), Contribution: reason.GetContribution(), StandardError: 0.01,
			})
		}
		e.PredictionId, e.ServedBy = scored.GetPredictionId(), scored.GetServedBy()
	}
	return resp, nil
}

// RecommendItems recommends as many items as are asked for, called after their
// places and the subject, with the page's number as the token and the seed as the
// propensity. A subject with the anchor "fail" fails.
func (s *scoring) RecommendItems(_ context.Context, r *scoringv1.RecommendItemsRequest) (*scoringv1.RecommendItemsResponse, error) {
	_, served, err := s.server.store.route("scoring", r.GetModel(), r.GetVersion())
	if err != nil {
		return nil, err
	}
	s.server.count("RecommendItems", len(r.GetSubjects()))
	resp := &scoringv1.RecommendItemsResponse{Seed: r.GetOptions().GetExploration().GetSeed()}
	for i, subject := range r.GetSubjects() {
		result := &scoringv1.Recommendation{Id: subject.GetId(), Index: int64(i)}
		resp.Results = append(resp.Results, result)
		if subject.GetAnchorItem() == "fail" {
			result.Error = status.Convert(Error(codes.InvalidArgument, "ITEM_UNKNOWN",
				fmt.Sprintf("subjects[%d].anchor_item: the model's catalogue has no such item", i))).Proto()
			continue
		}
		for k := range r.GetPageSize() {
			result.Items = append(result.Items, &scoringv1.RecommendedItem{
				Item: fmt.Sprintf("%s%d", subject.GetId(), k+1), Score: 1 / float64(k+1), Rank: k + 1, Promotion: r.GetPageToken(), Propensity: new(float64(resp.Seed)),
			})
		}
		result.PredictionId, result.ServedBy = fmt.Sprintf("p%d", i), []*servingv1.ServedBy{served}
	}
	if len(r.GetSubjects()) == 1 {
		resp.NextPageToken = r.GetPageToken() + "+"
	}
	return resp, nil
}

// scoreTable gives a row the first column's number as its probability and, times
// ten, as its raw score. A row with a text in a column "fail" fails.
func scoreTable(t *scoringv1.Table, served *servingv1.ServedBy) *scoringv1.TableResult {
	p := &scoringv1.ProbabilityColumns{Event: "churn", Threshold: 0.5, Probability: t.GetColumns()[0].GetDoubles().GetValues()}
	for _, x := range p.GetProbability() {
		p.RawScore = append(p.RawScore, 10*x)
	}
	result := &scoringv1.TableResult{
		Rows: t.GetRows(), Ids: t.GetIds(), PredictionId: "t", ServedBy: []*servingv1.ServedBy{served},
		Heads: map[string]*scoringv1.HeadColumns{"churn": {Kind: &scoringv1.HeadColumns_Probability{Probability: p}}},
	}
	for _, c := range t.GetColumns() {
		if c.GetName() != "fail" {
			continue
		}
		for row := range c.GetStrings().GetIndices() {
			if valid := c.GetValidity(); len(valid) == 0 || valid[row/8]>>(row%8)&1 == 1 {
				result.Errors = append(result.Errors, &scoringv1.RowError{Row: int64(row), Error: status.Convert(Error(codes.InvalidArgument, "FEATURE_INVALID",
					fmt.Sprintf(`table.columns["fail"]: row %d: not a number`, row))).Proto()})
			}
		}
	}
	return result
}

// sentiment finds a text with "good" or "хорош" positive, with "bad" or "плох"
// negative, and any other neutral. An empty text fails.
type sentiment struct {
	sentimentv1.UnimplementedSentimentServiceServer
	server *Server
}

func (s *sentiment) AnalyzeText(_ context.Context, r *sentimentv1.AnalyzeTextRequest) (*sentimentv1.AnalyzeTextResponse, error) {
	served, err := s.served(r.GetModels())
	if err != nil {
		return nil, err
	}
	s.server.count("AnalyzeText", len(r.GetTexts()))
	resp := &sentimentv1.AnalyzeTextResponse{}
	for i, t := range r.GetTexts() {
		resp.Results = append(resp.Results, analyzeText(int64(i), t, r.GetOptions(), served))
	}
	return resp, nil
}

func (s *sentiment) served(models []*sentimentv1.FeatureModel) (*servingv1.ServedBy, error) {
	var name, version string
	for _, m := range models {
		name, version = m.GetModel(), m.GetVersion()
	}
	_, served, err := s.server.store.route("sentiment", name, version)
	return served, err
}

func (s *sentiment) StreamAnalyzeText(call grpc.BidiStreamingServer[sentimentv1.StreamAnalyzeTextRequest, sentimentv1.StreamAnalyzeTextResponse]) error {
	var (
		served  *servingv1.ServedBy
		options *sentimentv1.TextOptions
	)
	index := int64(0)
	return answerAll(call, func(r *sentimentv1.StreamAnalyzeTextRequest) (err error) {
		options = r.GetOptions()
		served, err = s.served(r.GetModels())
		return err
	}, func(r *sentimentv1.StreamAnalyzeTextRequest) *sentimentv1.StreamAnalyzeTextResponse {
		s.server.count("StreamAnalyzeText", len(r.GetTexts()))
		resp := &sentimentv1.StreamAnalyzeTextResponse{}
		for _, t := range r.GetTexts() {
			resp.Results = append(resp.Results, analyzeText(index, t, options, served))
			index++
		}
		return resp
	})
}

func analyzeText(index int64, t *sentimentv1.TextItem, options *sentimentv1.TextOptions, served *servingv1.ServedBy) *sentimentv1.TextResult {
	text := strings.ToLower(t.GetText() + string(t.GetTextBytes()))
	result := &sentimentv1.TextResult{Id: t.GetId(), Index: index}
	if text == "" {
		result.Error = invalidItem(fmt.Sprintf("texts[%d].text: empty", index))
		return result
	}
	sentiment := &sentimentv1.Sentiment{Polarity: sentimentv1.Polarity_POLARITY_NEUTRAL, Positive: 0.05, Neutral: 0.9, Negative: 0.05}
	switch {
	case strings.Contains(text, "good") || strings.Contains(text, "хорош"):
		sentiment = &sentimentv1.Sentiment{Polarity: sentimentv1.Polarity_POLARITY_POSITIVE, Positive: 0.9, Neutral: 0.08, Negative: 0.02}
	case strings.Contains(text, "bad") || strings.Contains(text, "плох"):
		sentiment = &sentimentv1.Sentiment{Polarity: sentimentv1.Polarity_POLARITY_NEGATIVE, Positive: 0.03, Neutral: 0.07, Negative: 0.9}
	}
	sentiment.Score = sentiment.Positive - sentiment.Negative
	result.Sentiment = sentiment
	result.PredictionId = fmt.Sprintf("p%d", index)
	result.ServedBy = []*servingv1.ServedBy{served}
	result.Tokens = int32(len(strings.Fields(text)) + 2)
	if options.GetRedact() {
		result.RedactedText = "[REDACTED]"
	}
	return result
}

// images takes what begins as a PNG or JPEG does for a shirt.
type images struct {
	imageanalysisv1.UnimplementedImageAnalysisServiceServer
	server *Server
}

func (s *images) served(models []*imageanalysisv1.FeatureModel) (*servingv1.ServedBy, error) {
	var name, version string
	for _, m := range models {
		name, version = m.GetModel(), m.GetVersion()
	}
	_, served, err := s.server.store.route("image_labels", name, version)
	return served, err
}

func (s *images) AnalyzeImages(_ context.Context, r *imageanalysisv1.AnalyzeImagesRequest) (*imageanalysisv1.AnalyzeImagesResponse, error) {
	served, err := s.served(r.GetModels())
	if err != nil {
		return nil, err
	}
	s.server.count("AnalyzeImages", len(r.GetImages()))
	resp := &imageanalysisv1.AnalyzeImagesResponse{}
	for i, image := range r.GetImages() {
		resp.Results = append(resp.Results, analyzeImage(int64(i), image, r.GetFeatures(), r.GetOptions(), served))
	}
	return resp, nil
}

// FindSimilar finds as many items as are asked for, called after their places and
// the picture.
func (s *images) FindSimilar(_ context.Context, r *imageanalysisv1.FindSimilarRequest) (*imageanalysisv1.FindSimilarResponse, error) {
	_, served, err := s.server.store.route("image_labels", r.GetModel(), r.GetVersion())
	if err != nil {
		return nil, err
	}
	s.server.count("FindSimilar", len(r.GetImages()))
	resp := &imageanalysisv1.FindSimilarResponse{}
	for i, image := range r.GetImages() {
		seen := analyzeImage(int64(i), image, nil, nil, served)
		result := &imageanalysisv1.SimilarResult{Id: seen.GetId(), Index: seen.GetIndex(), Error: seen.GetError()}
		for k := range r.GetCount() {
			if seen.GetError() != nil {
				break
			}
			item := &imageanalysisv1.SimilarItem{Item: fmt.Sprintf("%s%d", image.GetId(), k+1), Score: 1 / float64(k+1)}
			for _, name := range r.GetAttributes() {
				if item.Attributes == nil {
					item.Attributes = &structpb.Struct{Fields: map[string]*structpb.Value{}}
				}
				item.Attributes.Fields[name] = structpb.NewStringValue("a " + name)
			}
			result.Items = append(result.Items, item)
		}
		if seen.GetError() == nil {
			result.PredictionId, result.ServedBy = fmt.Sprintf("p%d", i), []*servingv1.ServedBy{served}
		}
		resp.Results = append(resp.Results, result)
	}
	return resp, nil
}

func (s *images) StreamAnalyzeImages(call grpc.BidiStreamingServer[imageanalysisv1.StreamAnalyzeImagesRequest, imageanalysisv1.StreamAnalyzeImagesResponse]) error {
	var served *servingv1.ServedBy
	var options *imageanalysisv1.ImageOptions
	var features []imageanalysisv1.ImageFeature
	index := int64(0)
	return answerAll(call, func(r *imageanalysisv1.StreamAnalyzeImagesRequest) (err error) {
		features, options = r.GetFeatures(), r.GetOptions()
		served, err = s.served(r.GetModels())
		return err
	}, func(r *imageanalysisv1.StreamAnalyzeImagesRequest) *imageanalysisv1.StreamAnalyzeImagesResponse {
		s.server.count("StreamAnalyzeImages", len(r.GetImages()))
		resp := &imageanalysisv1.StreamAnalyzeImagesResponse{}
		for _, image := range r.GetImages() {
			resp.Results = append(resp.Results, analyzeImage(index, image, features, options, served))
			index++
		}
		return resp
	})
}

func analyzeImage(index int64, image *imageanalysisv1.ImageItem, features []imageanalysisv1.ImageFeature, options *imageanalysisv1.ImageOptions, served *servingv1.ServedBy) *imageanalysisv1.ImageResult {
	result := &imageanalysisv1.ImageResult{Id: image.GetId(), Index: index}
	switch {
	case bytes.HasPrefix(image.GetContent(), []byte("\x89PNG")):
		result.Info = &imageanalysisv1.ImageInfo{Format: "png", Width: 640, Height: 480}
	case bytes.HasPrefix(image.GetContent(), []byte("\xff\xd8\xff")):
		result.Info = &imageanalysisv1.ImageInfo{Format: "jpeg", Width: 640, Height: 480}
	default:
		result.Error = invalidItem(fmt.Sprintf("images[%d].content: not a JPEG, PNG, WebP or GIF picture", index))
		return result
	}
	labels := []*imageanalysisv1.Label{{Name: "jersey", Score: 0.75}, {Name: "cardigan", Score: 0.125}, {Name: "suit", Score: 0.0625}}
	if n := int(options.GetMaxLabels()); n > 0 {
		labels = labels[:min(n, len(labels))]
	}
	if len(features) == 0 {
		features = []imageanalysisv1.ImageFeature{imageanalysisv1.ImageFeature_IMAGE_FEATURE_LABELS}
	}
	for _, f := range features {
		switch f {
		case imageanalysisv1.ImageFeature_IMAGE_FEATURE_LABELS:
			result.Labels = []*imageanalysisv1.LabelSet{
				{Head: "clothing", Labels: []*imageanalysisv1.Label{{Name: "T-shirt", Score: 0.875}}},
				{Head: "imagenet", Labels: labels},
			}
		case imageanalysisv1.ImageFeature_IMAGE_FEATURE_EMBEDDING:
			n := float32(len(image.GetContent()))
			result.Embedding = &imageanalysisv1.Embedding{Values: []float32{n}}
		case imageanalysisv1.ImageFeature_IMAGE_FEATURE_COLORS:
			result.Colors = []*imageanalysisv1.Color{
				{Hex: "#FF0000", NameEn: "red", NameRu: "красный", Fraction: 0.75}, {Hex: "#FFFFFF", NameEn: "white", NameRu: "белый", Fraction: 0.25},
			}
		case imageanalysisv1.ImageFeature_IMAGE_FEATURE_QUALITY:
			result.Quality = &imageanalysisv1.Quality{Sharpness: 120.5, Brightness: 0.5, Contrast: 0.25, Overexposed: 0.125, Megapixels: 0.3072}
		case imageanalysisv1.ImageFeature_IMAGE_FEATURE_FACES:
			result.Faces = []*imageanalysisv1.Face{{
				Box: &imageanalysisv1.Box{Left: 1, Top: 1, Width: 4, Height: 3}, Score: 0.75,
				Landmarks: []*imageanalysisv1.Landmark{{Name: "nose", Point: &imageanalysisv1.Point{X: 3, Y: 2}}},
			}}
			if options.GetExpressions() {
				result.Faces[0].Expressions = []*imageanalysisv1.Label{{Name: "happy", Score: 0.5}}
			}
		case imageanalysisv1.ImageFeature_IMAGE_FEATURE_SAFE_SEARCH:
			result.SafeSearch = &imageanalysisv1.SafeSearch{Adult: 0.125}
		case imageanalysisv1.ImageFeature_IMAGE_FEATURE_TEXT:
			result.Text = []*imageanalysisv1.TextLine{{Text: "SALE", Score: 0.5, Corners: []*imageanalysisv1.Point{{X: 6, Y: 1}, {X: 8, Y: 1}, {X: 8, Y: 4}, {X: 6, Y: 4}}}, {Text: "today", Score: 0.25}}
		}
	}
	result.PredictionId = fmt.Sprintf("p%d", index)
	result.ServedBy = []*servingv1.ServedBy{served}
	return result
}

func invalidItem(message string) *spb.Status {
	return status.Convert(Error(codes.InvalidArgument, "ITEM_INVALID", message)).Proto()
}

// ExplainText finds that each word between blanks raises the score by a tenth of
// its length in bytes, or lowers it where the word is "bad".
func (s *sentiment) ExplainText(_ context.Context, r *sentimentv1.ExplainTextRequest) (*sentimentv1.ExplainTextResponse, error) {
	_, served, err := s.server.store.route("sentiment", r.GetModel(), r.GetVersion())
	if err != nil {
		return nil, err
	}
	s.server.count("ExplainText", len(r.GetTexts()))
	resp := &sentimentv1.ExplainTextResponse{}
	for i, t := range r.GetTexts() {
		x := &sentimentv1.TextExplanation{Id: t.GetId(), Index: int64(i)}
		resp.Results = append(resp.Results, x)
		text := t.GetText()
		if text == "" {
			x.Error = status.Convert(Error(codes.InvalidArgument, "TEXT_EMPTY", fmt.Sprintf("texts[%d].text: is empty", i))).Proto()
			continue
		}
		x.Target, x.PredictionId, x.ServedBy = cmp.Or(r.GetTarget(), "score"), "p", []*servingv1.ServedBy{served}
		at := 0
		for word := range strings.FieldsSeq(text) {
			begin := at + strings.Index(text[at:], word)
			at = begin + len(word)
			c := float64(len(word)) / 10
			if word == "bad" {
				c = -c
			}
			x.Value += c
			x.Words = append(x.Words, &sentimentv1.WordContribution{Span: &sentimentv1.Span{Begin: int64(begin), End: int64(at)}, Contribution: c})
		}
		x.Evaluations = int32(len(x.GetWords()) + 1)
	}
	return resp, nil
}

// ExplainImage answers a map of one part, and "PNG" as its picture.
func (s *images) ExplainImage(_ context.Context, r *imageanalysisv1.ExplainImageRequest) (*imageanalysisv1.ExplainImageResponse, error) {
	_, served, err := s.server.store.route("image_labels", r.GetModel(), r.GetVersion())
	if err != nil {
		return nil, err
	}
	s.server.count("ExplainImage", len(r.GetImages()))
	resp := &imageanalysisv1.ExplainImageResponse{}
	for i, image := range r.GetImages() {
		x := &imageanalysisv1.ImageExplanation{Id: image.GetId(), Index: int64(i)}
		resp.Results = append(resp.Results, x)
		if !bytes.HasPrefix(image.GetContent(), []byte("\x89PNG")) {
			x.Error = status.Convert(Error(codes.InvalidArgument, "IMAGE_FORMAT", fmt.Sprintf("images[%d].content: not a JPEG, PNG, WebP or GIF picture", i))).Proto()
			continue
		}
		x.Head, x.Label, x.Score = cmp.Or(r.GetHead(), "clothing"), cmp.Or(r.GetLabel(), "T-shirt"), 0.875
		x.Heat, x.Rows, x.Columns, x.Png, x.Evaluations = []float64{0.5}, 1, 1, []byte("PNG"), 2
		x.PredictionId, x.ServedBy = fmt.Sprint("p", i), []*servingv1.ServedBy{served}
	}
	return resp, nil
}
