package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/scry-ml/scry/server"
)

// Config is everything that can be set, by flag, SCRY_* variable or YAML file
// under the same name; the first of them that sets a value wins.
type Config struct {
	Store  string
	GRPC   string
	Admin  string
	Import string

	TLSCert, TLSKey string
	Insecure        bool
	AdminTokenFile  string

	RuntimeDir    string
	ORTLibrary    string
	JPEGLibrary   string
	RequireDevice string
	Plan          string
	CUDAMemory    int64

	DefaultDeadline time.Duration
	DrainTimeout    time.Duration
	SpareVersions   int
	ResponseCache   string
	ProbeTime       time.Duration
	ProbeMemory     int64
	MaxMessageBytes int
	MaxTextBytes    int
	MaxImageBytes   int
	MaxImagePixels  int
	DecodeMemory    int64
	RequestMemory   int64
	MaxUploadBytes  int64
	MaxInstances    int
	MaxTexts        int
	MaxImages       int

	ModelScoring, ModelRecommendation, ModelSentiment, ModelTextEmbedding, ModelImageLabels, ModelImageEmbedding, ModelSafeSearch, ModelFaces, ModelImageText string

	LogLevel, LogFormat string
}

// flags binds the fields to their names, defaults and help.
func (c *Config) flags(name string) *flag.FlagSet {
	limits := server.Limits{}.WithDefaults()
	f := flag.NewFlagSet(name, flag.ContinueOnError)
	f.StringVar(&c.Store, "store", "data", "directory of the model store")
	f.StringVar(&c.GRPC, "grpc", "127.0.0.1:8001", "address for gRPC")
	f.StringVar(&c.Admin, "admin", "127.0.0.1:8002", "address for /metrics, /healthz and /readyz; empty = none")
	f.StringVar(&c.Import, "import", "", "directory whose bundles are imported and activated where the store has no model of their name")
	f.StringVar(&c.TLSCert, "tls-cert", "", "PEM file of the server's certificate chain")
	f.StringVar(&c.TLSKey, "tls-key", "", "PEM file of its key")
	f.BoolVar(&c.Insecure, "insecure", false, "allow an address beyond loopback without TLS")
	f.StringVar(&c.AdminTokenFile, "admin-token-file", "", "file with the bearer token that calls changing the store need")
	f.StringVar(&c.RuntimeDir, "runtime-dir", "", "directory of ONNX Runtime and its providers, as set-up fills it; empty = .runtime here or beside the program")
	f.StringVar(&c.JPEGLibrary, "jpeg-library", "", "path or name of libturbojpeg, such as libturbojpeg.so.0, to decode JPEG pictures faster; a crash in it ends the server; empty = own decoder")
	f.StringVar(&c.ORTLibrary, "ort-library", "", "path of libonnxruntime.so, instead of the runtime directory's")
	f.StringVar(&c.RequireDevice, "require-device", "", "cuda or openvino: readiness fails instead of falling back")
	f.StringVar(&c.Plan, "plan", "measured", "measured: each graph runs as it was measured to run best, at its first load on this machine; rules: by its size and the manifest alone")
	f.Int64Var(&c.CUDAMemory, "cuda-memory", 0, "bytes that models may hold of each GPU's memory; 0 = what it has")
	f.DurationVar(&c.DefaultDeadline, "default-deadline", 10*time.Second, "deadline of calls that set none")
	f.DurationVar(&c.DrainTimeout, "drain-timeout", 30*time.Second, "how long calls in progress may take to finish at the end")
	f.IntVar(&c.SpareVersions, "spare-versions", 2, "versions that stay loaded though no route holds them")
	f.StringVar(&c.ResponseCache, "response-cache", "", "bytes of answers that are kept for items that come again, by model, such as sentiment=67108864,churn=1048576; empty = none")
	f.DurationVar(&c.ProbeTime, "probe-time", 2*time.Minute, "how long a new bundle may take to load")
	f.Int64Var(&c.ProbeMemory, "probe-memory", 0, "bytes that a new bundle may take to load; 0 = half of the machine's")
	f.IntVar(&c.MaxMessageBytes, "max-message-bytes", limits.MessageBytes, "bytes of one message, both ways")
	f.IntVar(&c.MaxTextBytes, "max-text-bytes", limits.TextBytes, "bytes of one text")
	f.IntVar(&c.MaxImageBytes, "max-image-bytes", limits.ImageBytes, "bytes of one picture file")
	f.IntVar(&c.MaxImagePixels, "max-image-pixels", limits.ImagePixels, "pixels of one picture")
	f.Int64Var(&c.DecodeMemory, "decode-memory", 1<<30, "bytes that the decoding of all pictures may hold at a time; more wait")
	f.Int64Var(&c.RequestMemory, "request-memory", 512<<20, "bytes of the large requests that are answered at a time, at least one message; rows take up to 17 times as much when decoded; more wait, and are refused after a second")
	f.Int64Var(&c.MaxUploadBytes, "max-upload-bytes", limits.UploadBytes, "bytes of one version's files")
	f.IntVar(&c.MaxInstances, "max-instances", limits.Instances, "rows of one Score call, tables aside")
	f.IntVar(&c.MaxTexts, "max-texts", limits.Texts, "texts of one call")
	f.IntVar(&c.MaxImages, "max-images", limits.Images, "pictures of one call")
	f.StringVar(&c.ModelScoring, "model-scoring", "churn", "model of Score calls that name none")
	f.StringVar(&c.ModelRecommendation, "model-recommendation", "recommend", "model of RecommendItems calls that name none")
	f.StringVar(&c.ModelSentiment, "model-sentiment", "sentiment", "model of the SENTIMENT feature")
	f.StringVar(&c.ModelTextEmbedding, "model-text-embedding", "sentiment", "model of the text EMBEDDING feature")
	f.StringVar(&c.ModelImageLabels, "model-image-labels", "products", "model of the LABELS feature")
	f.StringVar(&c.ModelImageEmbedding, "model-image-embedding", "products", "model of the picture EMBEDDING feature")
	f.StringVar(&c.ModelSafeSearch, "model-safe-search", "safesearch", "model of the SAFE_SEARCH feature")
	f.StringVar(&c.ModelFaces, "model-faces", "faces", "model of the FACES feature")
	f.StringVar(&c.ModelImageText, "model-image-text", "ocr", "model of the TEXT feature of pictures")
	f.StringVar(&c.LogLevel, "log-level", "info", "debug, info, warn or error; debug logs every call, never its payload")
	f.StringVar(&c.LogFormat, "log-format", "text", "text or json")
	return f
}

// loadConfig reads the file, then the environment, then the arguments, each
// over the one before. Unknown keys and flags fail. rest are the arguments
// after the flags.
func loadConfig(name string, args []string, getenv func(string) string, help io.Writer) (c Config, rest []string, err error) {
	f := c.flags(name)
	f.SetOutput(help)
	file := f.String("config", "", "YAML file with the same names")
	f.Usage = func() {
		fmt.Fprintf(help, "usage: %s [flags]\n\nEach flag --some-name is also the variable SCRY_SOME_NAME and the key some-name of --config.\n\n", name)
		f.PrintDefaults()
	}
	// The arguments are parsed twice: first to find --config, at last to win.
	if err := f.Parse(args); err != nil {
		return c, nil, err
	}
	if *file == "" {
		*file = getenv("SCRY_CONFIG")
	}
	if *file != "" {
		if err := setFromFile(f, *file); err != nil {
			return c, nil, err
		}
	}
	f.VisitAll(func(fl *flag.Flag) {
		key := "SCRY_" + strings.ToUpper(strings.ReplaceAll(fl.Name, "-", "_"))
		if v := getenv(key); v != "" && err == nil {
			if serr := f.Set(fl.Name, v); serr != nil {
				err = fmt.Errorf("%s: %w", key, wrongValue(fl, v, serr))
			}
		}
	})
	if err != nil {
		return c, nil, err
	}
	if err := f.Parse(args); err != nil {
		return c, nil, err
	}
	return c, f.Args(), c.Validate()
}

func setFromFile(f *flag.FlagSet, path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	values := map[string]yaml.Node{}
	if err := yaml.Unmarshal(text, &values); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	for _, key := range sortedKeys(values) {
		node := values[key]
		if f.Lookup(key) == nil || key == "config" {
			return fmt.Errorf("%s:%d: unknown key %q", path, node.Line, key)
		}
		if node.Kind != yaml.ScalarNode {
			return fmt.Errorf("%s:%d: %s: not a single value", path, node.Line, key)
		}
		if err := f.Set(key, node.Value); err != nil {
			return fmt.Errorf("%s:%d: %s: %w", path, node.Line, key, wrongValue(f.Lookup(key), node.Value, err))
		}
	}
	return nil
}

// wrongValue says what a value should have been: package flag's own errors do
// so for flags only.
func wrongValue(f *flag.Flag, value string, err error) error {
	want := "another value"
	if g, ok := f.Value.(flag.Getter); ok {
		switch g.Get().(type) {
		case time.Duration:
			want = "a duration such as 30s"
		case int, int64:
			want = "a whole number"
		case bool:
			want = "true or false"
		}
	}
	return fmt.Errorf("%q is not valid, want %s (%w)", value, want, err)
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}

// Validate reports the first value that cannot be right.
func (c *Config) Validate() error {
	if c.Store == "" {
		return errors.New("--store: must name a directory")
	}
	for name, address := range map[string]string{"--grpc": c.GRPC, "--admin": c.Admin} {
		if address == "" && name == "--admin" {
			continue
		}
		if _, _, err := net.SplitHostPort(address); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	if (c.TLSCert == "") != (c.TLSKey == "") {
		return errors.New("--tls-cert and --tls-key are given together")
	}
	if !server.Loopback(c.GRPC) && c.TLSCert == "" && !c.Insecure {
		return fmt.Errorf("--grpc: %s can be reached from other machines: give --tls-cert and --tls-key, or say --insecure", c.GRPC)
	}
	switch c.RequireDevice {
	case "", "cuda", "openvino", "cpu":
	default:
		return fmt.Errorf("--require-device: %q is none of cuda, openvino, cpu", c.RequireDevice)
	}
	if c.Plan != "measured" && c.Plan != "rules" {
		return fmt.Errorf("--plan: %q is neither measured nor rules", c.Plan)
	}
	if c.CUDAMemory < 0 {
		return errors.New("--cuda-memory: must not be below 0")
	}
	switch c.LogLevel {
	case "debug", "info", "warn", "error":
	default:
		return fmt.Errorf("--log-level: %q is none of debug, info, warn, error", c.LogLevel)
	}
	if c.LogFormat != "text" && c.LogFormat != "json" {
		return fmt.Errorf("--log-format: %q is neither text nor json", c.LogFormat)
	}
	if _, err := c.responseCache(); err != nil {
		return err
	}
	for name, v := range map[string]int64{
		"--max-message-bytes": int64(c.MaxMessageBytes), "--max-text-bytes": int64(c.MaxTextBytes), "--max-image-bytes": int64(c.MaxImageBytes),
		"--max-image-pixels": int64(c.MaxImagePixels), "--max-upload-bytes": c.MaxUploadBytes, "--decode-memory": c.DecodeMemory, "--request-memory": c.RequestMemory, "--max-instances": int64(c.MaxInstances),
		"--max-texts": int64(c.MaxTexts), "--max-images": int64(c.MaxImages), "--default-deadline": int64(c.DefaultDeadline),
		"--drain-timeout": int64(c.DrainTimeout), "--probe-time": int64(c.ProbeTime), "--spare-versions": int64(c.SpareVersions),
	} {
		if v <= 0 {
			return fmt.Errorf("%s: must be above 0", name)
		}
	}
	return nil
}

// responseCache returns the bytes by model.
func (c *Config) responseCache() (map[string]int64, error) {
	out := map[string]int64{}
	for part := range strings.SplitSeq(c.ResponseCache, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		model, bytes, _ := strings.Cut(part, "=")
		n, err := strconv.ParseInt(bytes, 10, 64)
		if err != nil || model == "" || n <= 0 {
			return nil, fmt.Errorf("--response-cache: %q is not of the form MODEL=BYTES", part)
		}
		out[model] = n
	}
	return out, nil
}

// print writes the effective configuration as a file that --config reads.
func (c *Config) print(w io.Writer) error {
	shown := *c
	var out Config
	f := out.flags("")
	out = shown
	doc := yaml.Node{Kind: yaml.MappingNode}
	f.VisitAll(func(fl *flag.Flag) {
		doc.Content = append(doc.Content,
			&yaml.Node{Kind: yaml.ScalarNode, Value: fl.Name, HeadComment: "# " + fl.Usage},
			&yaml.Node{Kind: yaml.ScalarNode, Value: fl.Value.String(), Style: style(fl.Value)})
	})
	enc := yaml.NewEncoder(w)
	defer enc.Close()
	return enc.Encode(&doc)
}

// style quotes strings that YAML would read as something else.
func style(v flag.Value) yaml.Style {
	if g, ok := v.(flag.Getter); ok {
		if s, ok := g.Get().(string); ok && (s == "" || strings.ContainsAny(s, ":#")) {
			return yaml.DoubleQuotedStyle
		}
	}
	return 0
}

// runtimeDir finds the folder that set-up fills.
func (c *Config) runtimeDir() string {
	if c.RuntimeDir != "" {
		return c.RuntimeDir
	}
	candidates := []string{".runtime"}
	if exe, err := os.Executable(); err == nil {
		dir := filepath.Dir(exe)
		candidates = append(candidates, filepath.Join(dir, ".runtime"), filepath.Join(dir, "..", ".runtime"), filepath.Join(dir, "runtime"))
	}
	for _, dir := range candidates {
		if _, err := os.Stat(dir); err == nil {
			return dir
		}
	}
	return candidates[0]
}
