package server

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/scry-ml/scry/pipeline"
	"github.com/scry-ml/scry/serving"
)

// metrics of the daemon; docs/metrics.md lists them.
type metrics struct {
	started, handled, received, sent *prometheus.CounterVec
	took                             *prometheus.HistogramVec
}

// Seconds from 50 µs on: a lone row takes that little.
var latencyBuckets = []float64{50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 0.1, 0.25, 0.5, 1, 2.5, 5, 10}

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
	reg.MustRegister(m.started, m.handled, m.received, m.sent, m.took, &loadedCollector{manager: manager})
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

// Recorder counts served items by model and version. It implements
// serving.Recorder.
type Recorder struct {
	items   *prometheus.CounterVec
	queue   *prometheus.HistogramVec
	compute *prometheus.HistogramVec
}

// NewRecorder registers the item metrics.
func NewRecorder(reg *prometheus.Registry) *Recorder {
	labels := []string{"model", "version"}
	r := &Recorder{
		items:   prometheus.NewCounterVec(prometheus.CounterOpts{Name: "scry_items_total", Help: "Rows, texts and pictures answered, by outcome."}, append(labels, "outcome")),
		queue:   prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "scry_item_queue_seconds", Help: "Time that a text, a picture or the rows of a call waited for devices.", Buckets: latencyBuckets}, labels),
		compute: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "scry_item_compute_seconds", Help: "Time of the device runs that it was part of.", Buckets: latencyBuckets}, labels),
	}
	reg.MustRegister(r.items, r.queue, r.compute)
	return r
}

// Item implements serving.Recorder.
func (r *Recorder) Item(id pipeline.Identity, rows int, stats pipeline.Stats, err error) {
	version := strconv.FormatInt(id.Version, 10)
	if err != nil {
		r.items.WithLabelValues(id.Model, version, "error").Add(float64(rows))
		return
	}
	r.items.WithLabelValues(id.Model, version, "ok").Add(float64(rows))
	r.queue.WithLabelValues(id.Model, version).Observe(stats.Queue.Seconds())
	r.compute.WithLabelValues(id.Model, version).Observe(stats.Compute.Seconds())
}

// loadedCollector reads the loaded versions when Prometheus asks.
type loadedCollector struct{ manager *serving.Manager }

var (
	graphLabels  = []string{"model", "version", "graph", "device", "precision"}
	fallbackDesc = prometheus.NewDesc("scry_graph_fallback", "1 where a preferred device was passed over; the reason is in ListLoadedVersions.", graphLabels, nil)
	queuedDesc   = prometheus.NewDesc("scry_queue_rows", "Rows that wait for a device now.", graphLabels, nil)
	rowsDesc     = prometheus.NewDesc("scry_computed_rows_total", "Rows computed.", graphLabels, nil)
	runsDesc     = prometheus.NewDesc("scry_runs_total", "Runs of the device; rows ÷ runs is the mean batch.", graphLabels, nil)
	refusedDesc  = prometheus.NewDesc("scry_refused_items_total", "Items refused: queue full or deadline unreachable.", graphLabels, nil)
	expiredDesc  = prometheus.NewDesc("scry_expired_items_total", "Items whose deadline passed in the queue.", graphLabels, nil)
	loadedDesc   = prometheus.NewDesc("scry_loaded_versions", "Versions in memory.", nil, nil)
)

// Describe implements prometheus.Collector.
func (c *loadedCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{fallbackDesc, queuedDesc, rowsDesc, runsDesc, refusedDesc, expiredDesc, loadedDesc} {
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
		for _, g := range v.Graphs {
			labels := []string{v.Identity.Model, strconv.FormatInt(v.Identity.Version, 10), g.Name, g.Device, g.Precision}
			fallback := 0.0
			if g.Fallback != "" {
				fallback = 1
			}
			ch <- prometheus.MustNewConstMetric(fallbackDesc, prometheus.GaugeValue, fallback, labels...)
			ch <- prometheus.MustNewConstMetric(queuedDesc, prometheus.GaugeValue, float64(g.QueuedRows), labels...)
			ch <- prometheus.MustNewConstMetric(rowsDesc, prometheus.CounterValue, float64(g.ComputedRows), labels...)
			ch <- prometheus.MustNewConstMetric(runsDesc, prometheus.CounterValue, float64(g.Runs), labels...)
			ch <- prometheus.MustNewConstMetric(refusedDesc, prometheus.CounterValue, float64(g.Refused), labels...)
			ch <- prometheus.MustNewConstMetric(expiredDesc, prometheus.CounterValue, float64(g.Expired), labels...)
		}
	}
	ch <- prometheus.MustNewConstMetric(loadedDesc, prometheus.GaugeValue, float64(loaded))
}
