package client_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/scry-ml/scry/client"
	imageanalysisv1 "github.com/scry-ml/scry/proto/scry/imageanalysis/v1"
	scoringv1 "github.com/scry-ml/scry/proto/scry/scoring/v1"
	sentimentv1 "github.com/scry-ml/scry/proto/scry/sentiment/v1"
)

func ExampleClient_Score() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	c, err := client.Dial(ctx, "localhost:8001")
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	customer, err := client.Instance("c1", map[string]any{"tenure": 12, "Contract": "Month-to-month"})
	if err != nil {
		log.Fatal(err)
	}
	resp, err := c.Score(ctx, &scoringv1.ScoreRequest{
		Model:     "churn",
		Instances: []*scoringv1.Instance{customer},
		Options:   &scoringv1.ScoreOptions{Reasons: 3},
	})
	if err != nil {
		log.Fatal(err)
	}
	for _, result := range resp.GetResults() {
		if err := client.ItemError(result); err != nil {
			log.Printf("%s: %v", result.GetId(), err)
			continue
		}
		churn := result.GetHeads()["churn"].GetProbability()
		fmt.Println(result.GetId(), churn.GetProbability(), churn.GetBand())
		for _, reason := range churn.GetReasons() {
			fmt.Println("  because", reason.GetText())
		}
	}
}

func ExampleClient_StreamScore() {
	ctx := context.Background()
	c, err := client.Dial(ctx, "scry.internal:8001", client.WithToken(os.Getenv("SCRY_TOKEN")))
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	// Rows are made while the server answers; memory stays bounded.
	customers := func(yield func(*scoringv1.Instance) bool) {
		for tenure := range 1_000_000 {
			customer, err := client.Instance(fmt.Sprint(tenure), map[string]any{"tenure": tenure})
			if err != nil || !yield(customer) {
				return
			}
		}
	}
	for result, err := range c.StreamScore(ctx, &scoringv1.ScoreRequest{Model: "churn"}, customers) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(result.GetId(), result.GetHeads()["churn"].GetProbability().GetProbability())
	}
}

func ExampleClient_AnalyzeText() {
	ctx := context.Background()
	c, err := client.Dial(ctx, "localhost:8001")
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	resp, err := c.AnalyzeText(ctx, &sentimentv1.AnalyzeTextRequest{Texts: []*sentimentv1.TextItem{
		{Id: "1", Content: &sentimentv1.TextItem_Text{Text: "Отличный сервис, спасибо!"}},
		{Id: "2", Content: &sentimentv1.TextItem_Text{Text: "It broke after a week."}},
	}})
	if err != nil {
		log.Fatal(err)
	}
	for _, result := range resp.GetResults() {
		fmt.Println(result.GetId(), result.GetSentiment().GetPolarity(), result.GetSentiment().GetScore())
	}
}

func ExampleClient_AnalyzeImages() {
	ctx := context.Background()
	c, err := client.Dial(ctx, "localhost:8001")
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	picture, err := os.ReadFile("shirt.jpg")
	if err != nil {
		log.Fatal(err)
	}
	resp, err := c.AnalyzeImages(ctx, &imageanalysisv1.AnalyzeImagesRequest{
		Images: []*imageanalysisv1.ImageItem{{Id: "shirt.jpg", Content: picture}},
	})
	if err != nil {
		log.Fatal(err)
	}
	for _, set := range resp.GetResults()[0].GetLabels() {
		for _, label := range set.GetLabels() {
			fmt.Printf("%s: %s %.2f\n", set.GetHead(), label.GetName(), label.GetScore())
		}
	}
}

func ExampleClient_Push() {
	ctx := context.Background()
	c, err := client.Dial(ctx, "localhost:8001")
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	pushed, err := c.Push(ctx, os.DirFS("models/churn"), client.PushOptions{
		Model:    "churn",
		Activate: true,
		Progress: func(p client.Progress) {
			if p.Phase == client.PhaseTransfer {
				fmt.Printf("%s: %d of %d bytes\n", p.File, p.Done, p.Total)
			}
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("version", pushed.Version.GetVersion(), "new:", pushed.Created)
}

func ExampleError() {
	c, err := client.Dial(context.Background(), "localhost:8001")
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	_, err = c.Score(context.Background(), &scoringv1.ScoreRequest{Model: "churn"})
	var e *client.Error
	if errors.As(err, &e) {
		for _, v := range e.Violations {
			fmt.Println(v.Field, v.Description)
		}
		if e.Code == codes.ResourceExhausted {
			time.Sleep(e.RetryAfter)
		}
	}
}
