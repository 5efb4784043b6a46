package client

import (
	"slices"
	"testing"
	"testing/synctest"

	sentimentv1 "github.com/scry-ml/scry/proto/scry/sentiment/v1"
)

// A first item goes at once, the next ones fill messages, and no more than a
// window of them is ever unanswered.
func TestBatcherWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := batcher[*sentimentv1.TextItem]{
			queue: make(chan *sentimentv1.TextItem), wake: make(chan struct{}, 1),
			max: budget{items: 3, bytes: 100}, item: 1000,
		}
		var sizes []int
		taken := 0
		go func() {
			defer close(b.queue)
			for range 40 {
				b.queue <- &sentimentv1.TextItem{Id: "x"}
				taken++
			}
			b.queue <- &sentimentv1.TextItem{Id: string(make([]byte, 90))}
			b.queue <- &sentimentv1.TextItem{Id: string(make([]byte, 90))} // does not fit beside the one before
		}()
		done := make(chan error, 1)
		go func() {
			done <- b.run(t.Context(), func(batch []*sentimentv1.TextItem) error {
				sizes = append(sizes, len(batch))
				return nil
			})
		}()
		synctest.Wait()
		if want := []int{1, 3, 3, 3, 3, 3, 3, 3}; !slices.Equal(sizes, want) || taken != 25 {
			t.Errorf("without an answer %d items were taken and sent as %v", taken, sizes)
		}
		for range 20 {
			b.answered()
			synctest.Wait()
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		sum := 0
		for _, n := range sizes {
			sum += n
		}
		if sum != 42 || !slices.Equal(sizes[len(sizes)-2:], []int{1, 1}) {
			t.Errorf("%d items were sent as %v", sum, sizes)
		}
	})
}
