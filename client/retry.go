package client

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"path"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	imageanalysisv1 "github.com/scry-ml/scry/proto/scry/imageanalysis/v1"
	modelstorev1 "github.com/scry-ml/scry/proto/scry/modelstore/v1"
	scoringv1 "github.com/scry-ml/scry/proto/scry/scoring/v1"
	sentimentv1 "github.com/scry-ml/scry/proto/scry/sentiment/v1"
	serverv1 "github.com/scry-ml/scry/proto/scry/server/v1"
)

// idempotent lists the calls that may be made twice, by full method. A call that
// changes the store is only among them where the server promises that the second
// one answers as the first did.
var idempotent = []string{
	scoringv1.ScoringService_Score_FullMethodName,
	scoringv1.ScoringService_Explain_FullMethodName,
	scoringv1.ScoringService_RecommendItems_FullMethodName,
	scoringv1.ScoringService_ChooseAction_FullMethodName,
	scoringv1.ScoringService_ChooseSendTime_FullMethodName,
	sentimentv1.SentimentService_AnalyzeText_FullMethodName,
	sentimentv1.SentimentService_ExplainText_FullMethodName,
	imageanalysisv1.ImageAnalysisService_AnalyzeImages_FullMethodName,
	imageanalysisv1.ImageAnalysisService_FindSimilar_FullMethodName,
	imageanalysisv1.ImageAnalysisService_ExplainImage_FullMethodName,
	modelstorev1.ModelStoreService_GetUpload_FullMethodName,
	modelstorev1.ModelStoreService_CommitUpload_FullMethodName,
	modelstorev1.ModelStoreService_GetModel_FullMethodName,
	modelstorev1.ModelStoreService_ListModels_FullMethodName,
	modelstorev1.ModelStoreService_GetVersion_FullMethodName,
	modelstorev1.ModelStoreService_ListVersions_FullMethodName,
	modelstorev1.ModelStoreService_WatchVersion_FullMethodName,
	modelstorev1.ModelStoreService_DownloadFile_FullMethodName,
	modelstorev1.ModelStoreService_ListAliases_FullMethodName,
	modelstorev1.ModelStoreService_ListRoutes_FullMethodName,
	serverv1.ServerService_GetServerInfo_FullMethodName,
	serverv1.ServerService_ListDevices_FullMethodName,
	serverv1.ServerService_ListLoadedVersions_FullMethodName,
}

// loads tells the calls that load a model before they answer.
func loads(method string) bool {
	switch method {
	case modelstorev1.ModelStoreService_CommitUpload_FullMethodName,
		modelstorev1.ModelStoreService_ActivateVersion_FullMethodName,
		modelstorev1.ModelStoreService_Rollback_FullMethodName:
		return true
	}
	return false
}

// The budget of retries, as gRPC's retryThrottling counts it: a failure costs
// one token, a success gives back a part of one, and nothing is tried again
// while no more than half are left.
const (
	budgetTokens = 20
	budgetRatio  = 0.1
	maxAttempts  = 4
)

// serviceConfig spreads calls over the addresses of a name and retries
// UNAVAILABLE. RESOURCE_EXHAUSTED is the retrier's: gRPC knows no RetryInfo.
var serviceConfig = func() string {
	type name struct {
		Service string `json:"service"`
		Method  string `json:"method"`
	}
	names := make([]name, len(idempotent))
	for i, m := range idempotent {
		names[i] = name{Service: path.Base(path.Dir(m)), Method: path.Base(m)}
	}
	b, err := json.Marshal(map[string]any{
		"loadBalancingConfig": []any{map[string]any{"round_robin": struct{}{}}},
		"retryThrottling":     map[string]any{"maxTokens": budgetTokens, "tokenRatio": budgetRatio},
		"methodConfig": []any{map[string]any{
			"name": names,
			"retryPolicy": map[string]any{
				"maxAttempts":          maxAttempts,
				"initialBackoff":       "0.1s",
				"maxBackoff":           "2s",
				"backoffMultiplier":    2,
				"retryableStatusCodes": []string{"UNAVAILABLE"},
			},
		}},
	})
	if err != nil {
		panic(err) // of constants
	}
	return string(b)
}()

// retrier repeats unary calls that were refused with a hint when to come back.
type retrier struct {
	mu     sync.Mutex
	tokens float64 // guarded by mu
}

func newRetrier() *retrier { return &retrier{tokens: budgetTokens} }

// unary makes a call again after RESOURCE_EXHAUSTED with RetryInfo, if it is
// idempotent, the budget allows it, and the wait ends before the deadline.
func (r *retrier) unary(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn,
	invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	for attempt := 1; ; attempt++ {
		err := typed(invoke(ctx, method, req, reply, cc, opts...))
		if err == nil {
			r.succeeded()
			return nil
		}
		wait := RetryAfterOf(err)
		if CodeOf(err) != codes.ResourceExhausted || wait <= 0 || attempt == maxAttempts ||
			!slices.Contains(idempotent, method) || !r.failed() {
			return err
		}
		wait += rand.N(wait/5 + 1) // so that callers who were refused together do not come back together
		if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= wait {
			return err
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return err
		}
	}
}

func (r *retrier) succeeded() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tokens = min(budgetTokens, r.tokens+budgetRatio)
}

// failed takes a token and reports whether a retry is within the budget.
func (r *retrier) failed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tokens = max(0, r.tokens-1)
	return r.tokens > budgetTokens/2
}
