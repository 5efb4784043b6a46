package server

import (
	"errors"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/scry-ml/scry/batch"
	"github.com/scry-ml/scry/pipeline"
	"github.com/scry-ml/scry/serving"
)

// metrics of the daemon; docs/metrics.md lists them.
type metrics struct {
	started, handled, received, sent *prometheus.CounterVec
	took                             *prometheus.HistogramVec
	refusal                          *prometheus.HistogramVec
}

var latencyBuckets = serving.Bounds[:]

func newMetrics(reg *prometheus.Registry, manager *serving.Manager) *metrics {
	labels := []string{"grpc_type", "grpc_service", "grpc_method"}
	counter := func(name, help string, labels []string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	m := &metrics{
		started:  counter("grpc_server_started_total", "Calls begun.", labels),
		handled:  counter("grpc_server_handled_total", "Calls ended, by status code.", append(labels[:3:3], "grpc_code")),
		received: counter("grpc_server_msg_received_total", "Messages received.", labels),
		sent:     counter("grpc_server_msg_sent_total", "Messages sent.", labels),
		took:     prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "grpc_server_handling_seconds", Help: "Time of a call on the server.", Buckets: latencyBuckets}, labels),
	}
	m.refusal = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "scry_refusal_seconds", Help: "Time on the server of calls that were refused for overload.", Buckets: latencyBuckets,
	}, []string{"reason", "queued"})
	for _, reason := range []string{"QUEUE_FULL", "DEADLINE_UNREACHABLE", "REQUESTS_FULL"} {
		for _, queued := range []string{"false", "true"} {
			m.refusal.WithLabelValues(reason, queued)
		}
	}
	reg.MustRegister(m.started, m.handled, m.received, m.sent, m.took, m.refusal, &loadedCollector{manager: manager})
	return m
}

// methodMetrics are those of one method: a call looks up no label.
type methodMetrics struct {
	started, received, sent prometheus.Counter
	handled                 [codes.Unauthenticated + 1]prometheus.Counter // by code
	took                    prometheus.Observer
}

// method makes the metrics of a method, so that they are there from the start.
func (m *metrics) method(service string, info grpc.MethodInfo) methodMetrics {
	kind := "unary"
	switch {
	case info.IsClientStream && info.IsServerStream:
		kind = "bidi_stream"
	case info.IsClientStream:
		kind = "client_stream"
	case info.IsServerStream:
		kind = "server_stream"
	}
	out := methodMetrics{
		started:  m.started.WithLabelValues(kind, service, info.Name),
		received: m.received.WithLabelValues(kind, service, info.Name),
		sent:     m.sent.WithLabelValues(kind, service, info.Name),
		took:     m.took.WithLabelValues(kind, service, info.Name),
	}
	for code := range out.handled {
		out.handled[code] = m.handled.WithLabelValues(kind, service, info.Name, codes.Code(code).String())
	}
	return out
}

// ended counts a call by its code.
func (m *methodMetrics) ended(code codes.Code, took time.Duration) {
	if int(code) >= len(m.handled) {
		code = codes.Unknown // a status that no code stands for
	}
	m.handled[code].Inc()
	m.took.Observe(took.Seconds())
}

// refused notes how long the refusal of a call took if err is one for overload,
// and reports whether it is.
func (m *metrics) refused(err error, took time.Duration) bool {
	var reason string
	var waited time.Duration
	if full, ok := errors.AsType[*batch.FullError](err); ok {
		reason, waited = "QUEUE_FULL", full.Waited
	} else if late, ok := errors.AsType[*batch.DeadlineError](err); ok {
		reason, waited = "DEADLINE_UNREACHABLE", late.Waited
	} else if errors.Is(err, errRequestsFull) {
		reason, waited = "REQUESTS_FULL", requestWait
	} else {
		return false
	}
	m.refusal.WithLabelValues(reason, strconv.FormatBool(waited > 0)).Observe(took.Seconds())
	return true
}

// Recorder counts served items by model and version. It implements
// serving.Recorder.
type Recorder struct {
	items                            *prometheus.CounterVec
	prepared, queue, compute, answer *prometheus.HistogramVec
}

// NewRecorder registers the item metrics.
func NewRecorder(reg *prometheus.Registry) *Recorder {
	labels := []string{"model", "version"}
	histogram := func(name, help string) *prometheus.HistogramVec {
		v := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: latencyBuckets}, labels)
		reg.MustRegister(v)
		return v
	}
	r := &Recorder{
		items:    prometheus.NewCounterVec(prometheus.CounterOpts{Name: "scry_items_total", Help: "Rows, texts and pictures answered, by outcome."}, append(labels[:2:2], "outcome")),
		prepared: histogram("scry_item_preprocess_seconds", "Time that tokenising a text, decoding a picture or mapping rows took."),
		queue:    histogram("scry_item_queue_seconds", "Time that a text, a picture or the rows of a call waited for devices."),
		compute:  histogram("scry_item_compute_seconds", "Time of the device runs that it was part of."),
		answer:   histogram("scry_item_total_seconds", "Time from the start of its preprocessing to its outputs."),
	}
	reg.MustRegister(r.items)
	return r
}

// Meter implements serving.Recorder.
func (r *Recorder) Meter(id pipeline.Identity) serving.Meter {
	version := strconv.FormatInt(id.Version, 10)
	return &meter{
		ok: r.items.WithLabelValues(id.Model, version, "ok"), failed: r.items.WithLabelValues(id.Model, version, "error"),
		prepared: r.prepared.WithLabelValues(id.Model, version), queue: r.queue.WithLabelValues(id.Model, version),
		compute: r.compute.WithLabelValues(id.Model, version), answer: r.answer.WithLabelValues(id.Model, version),
	}
}

// meter holds the metrics of one version: an item looks up no label.
type meter struct {
	ok, failed                       prometheus.Counter
	prepared, queue, compute, answer prometheus.Observer
}

// Item implements serving.Meter.
func (m *meter) Item(rows int, took serving.Times, err error) {
	if took.Prepared > 0 {
		m.prepared.Observe(took.Prepared.Seconds())
	}
	if err != nil {
		m.failed.Add(float64(rows))
		return
	}
	m.ok.Add(float64(rows))
	m.queue.Observe(took.Queue.Seconds())
	m.compute.Observe(took.Compute.Seconds())
	m.answer.Observe(took.Total.Seconds())
}

// loadedCollector reads the loaded versions when Prometheus asks.
type loadedCollector struct{ manager *serving.Manager }

var (
	graphLabels  = []string{"model", "version", "graph", "device", "precision"}
	planLabels   = append(graphLabels[:5:5], "provider", "threads", "runs")
	refuseLabels = append(graphLabels[:5:5], "reason")

	planDesc     = prometheus.NewDesc("scry_graph_plan", "Always 1: how a graph runs.", planLabels, nil)
	fallbackDesc = prometheus.NewDesc("scry_graph_fallback", "1 where a preferred device was passed over; the reason is in ListLoadedVersions.", graphLabels, nil)
	queuedDesc   = prometheus.NewDesc("scry_queue_rows", "Rows that wait for a device now.", graphLabels, nil)
	rowsDesc     = prometheus.NewDesc("scry_computed_rows_total", "Rows computed.", graphLabels, nil)
	runsDesc     = prometheus.NewDesc("scry_runs_total", "Runs of the device; rows ÷ runs is the mean batch.", graphLabels, nil)
	batchDesc    = prometheus.NewDesc("scry_batch_rows", "Rows of a run, before padding.", graphLabels, nil)
	waitDesc     = prometheus.NewDesc("scry_batch_wait_seconds", "Time that the first item of a run waited for it.", graphLabels, nil)
	cellsDesc    = prometheus.NewDesc("scry_cells_total", "Rows × length of the items that were computed.", graphLabels, nil)
	hitsDesc     = prometheus.NewDesc("scry_response_hits_total", "Items answered from a run made for another who asked the same.", graphLabels, nil)
	paddedDesc   = prometheus.NewDesc("scry_padded_cells_total", "Rows × length of the runs; 1 − cells ÷ padded cells is the padding.", graphLabels, nil)
	refusedDesc  = prometheus.NewDesc("scry_refused_items_total", "Items refused for overload.", refuseLabels, nil)
	expiredDesc  = prometheus.NewDesc("scry_expired_items_total", "Items whose deadline passed in the queue.", graphLabels, nil)
	leftDesc     = prometheus.NewDesc("scry_cancelled_items_total", "Items whose caller left before the answer.", graphLabels, nil)
	loadedDesc   = prometheus.NewDesc("scry_loaded_versions", "Versions in memory.", nil, nil)
)

// Describe implements prometheus.Collector.
func (c *loadedCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		planDesc, fallbackDesc, queuedDesc, rowsDesc, runsDesc, batchDesc, waitDesc, hitsDesc, cellsDesc, paddedDesc,
		refusedDesc, expiredDesc, leftDesc, loadedDesc,
	} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *loadedCollector) Collect(ch chan<- prometheus.Metric) {
	loaded := 0
	for _, v := range c.manager.Statuses() {
		if v.Progress.Stage == serving.Ready {
			loaded++
		}
		for i := range v.Graphs {
			collectGraph(ch, v.Identity, &v.Graphs[i])
		}
	}
	ch <- prometheus.MustNewConstMetric(loadedDesc, prometheus.GaugeValue, float64(loaded))
}

func collectGraph(ch chan<- prometheus.Metric, id pipeline.Identity, g *serving.GraphStatus) {
	labels := []string{id.Model, strconv.FormatInt(id.Version, 10), g.Name, g.Device, g.Precision}
	with := func(more ...string) []string { return append(labels[:5:5], more...) }
	fallback := 0.0
	if g.Fallback != "" {
		fallback = 1
	}
	ch <- prometheus.MustNewConstMetric(planDesc, prometheus.GaugeValue, 1, with(g.Provider, strconv.Itoa(g.Threads), strconv.Itoa(g.Slots))...)
	ch <- prometheus.MustNewConstMetric(fallbackDesc, prometheus.GaugeValue, fallback, labels...)
	ch <- prometheus.MustNewConstMetric(queuedDesc, prometheus.GaugeValue, float64(g.QueuedRows), labels...)
	for _, m := range []struct {
		desc   *prometheus.Desc
		value  int64
		labels []string
	}{
		{rowsDesc, g.ComputedRows, labels}, {runsDesc, g.Runs, labels},
		{hitsDesc, g.Tally.Hits, labels}, {cellsDesc, g.Tally.Cells, labels}, {paddedDesc, g.Tally.PaddedCells, labels},
		{refusedDesc, g.RefusedFull, with("QUEUE_FULL")}, {refusedDesc, g.RefusedDeadline, with("DEADLINE_UNREACHABLE")},
		{expiredDesc, g.Expired, labels}, {leftDesc, g.Cancelled, labels},
	} {
		ch <- prometheus.MustNewConstMetric(m.desc, prometheus.CounterValue, float64(m.value), m.labels...)
	}
	ch <- batchSizes(g.Tally.Runs, labels)
	ch <- distribution(waitDesc, &g.Tally.Waited, labels)
}

// batchSizes is the histogram of the rows of runs.
func batchSizes(runs map[int]serving.RunTally, labels []string) prometheus.Metric {
	buckets := map[float64]uint64{}
	for bound := 1; bound <= 1024; bound *= 2 {
		buckets[float64(bound)] = 0
	}
	var n uint64
	var rows float64
	for size, r := range runs {
		n += uint64(r.Runs)
		rows += float64(size) * float64(r.Runs)
		for bound := range buckets {
			if float64(size) <= bound {
				buckets[bound] += uint64(r.Runs)
			}
		}
	}
	return prometheus.MustNewConstHistogram(batchDesc, n, rows, buckets, labels...)
}

// distribution is a serving.Distribution as a histogram.
func distribution(desc *prometheus.Desc, d *serving.Distribution, labels []string) prometheus.Metric {
	buckets := make(map[float64]uint64, len(serving.Bounds))
	var n uint64
	for i, bound := range serving.Bounds {
		n += d.Counts[i]
		buckets[bound] = n
	}
	return prometheus.MustNewConstHistogram(desc, n+d.Counts[len(serving.Bounds)], d.Sum.Seconds(), buckets, labels...)
}
