package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/scry-ml/scry/gpu/gputest"
)

func env(values map[string]string) func(string) string {
	return func(key string) string { return values[key] }
}

func yamlFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "scryd.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestConfigPrecedence sets one value in three places: flag > variable > file >
// default.
func TestConfigPrecedence(t *testing.T) {
	file := yamlFile(t, "store: from-file\ngrpc: 127.0.0.1:1\nmax-texts: 1\ndefault-deadline: 1s\n")
	vars := env(map[string]string{"SCRY_GRPC": "127.0.0.1:2", "SCRY_MAX_TEXTS": "2"})
	c, rest, err := loadConfig("scryd", []string{"--config", file, "--max-texts", "3", "rest"}, vars, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if c.MaxTexts != 3 || c.GRPC != "127.0.0.1:2" || c.Store != "from-file" || c.DefaultDeadline != time.Second || c.MaxImages != 1000 {
		t.Errorf("flag %d, variable %q, file %q and %v, default %d", c.MaxTexts, c.GRPC, c.Store, c.DefaultDeadline, c.MaxImages)
	}
	if len(rest) != 1 || rest[0] != "rest" {
		t.Errorf("the rest is %q", rest)
	}
	c, _, err = loadConfig("scryd", nil, env(map[string]string{"SCRY_CONFIG": file, "SCRY_INSECURE": "true"}), io.Discard)
	if err != nil || c.Store != "from-file" || !c.Insecure {
		t.Errorf("by SCRY_CONFIG: %q, %v, %v", c.Store, c.Insecure, err)
	}
}

// TestConfigRefused names what is wrong, and where.
func TestConfigRefused(t *testing.T) {
	cert := []string{"--tls-cert", "cert.pem", "--tls-key", "key.pem"}
	for _, c := range []struct {
		name string
		args []string
		vars map[string]string
		file string
		says string
	}{
		{name: "unknown key", file: "store: x\n\ncolour: red\n", says: `:3: unknown key "colour"`},
		{name: "config in config", file: "config: x\n", says: `:1: unknown key "config"`},
		{name: "no single value", file: "store: x\ngrpc: [a, b]\n", says: ":2: grpc: not a single value"},
		{name: "wrong type in the file", file: "max-texts: many\n", says: ":1: max-texts"},
		{name: "key twice", file: "store: x\nstore: y\n", says: "already defined at line 1"},
		{name: "no YAML", file: "store: [\n", says: "scryd.yaml"},
		{name: "no file", args: []string{"--config", "/nowhere/scryd.yaml"}, says: "/nowhere/scryd.yaml"},
		{name: "unknown flag", args: []string{"--colour", "red"}, says: "colour"},
		{name: "wrong type in a flag", args: []string{"--max-texts", "many"}, says: "max-texts"},
		{name: "wrong type in a variable", vars: map[string]string{"SCRY_MAX_TEXTS": "many"}, says: "SCRY_MAX_TEXTS"},
		{name: "beyond loopback", args: []string{"--grpc", "0.0.0.0:8001"}, says: "--insecure"},
		{name: "every address", args: []string{"--grpc", ":8001"}, says: "--insecure"},
		{name: "every IPv6 address", args: []string{"--grpc", "[::]:8001"}, says: "--insecure"},
		{name: "a name", args: []string{"--grpc", "scry.example:8001"}, says: "--insecure"},
		{name: "no port", args: []string{"--grpc", "127.0.0.1"}, says: "--grpc"},
		{name: "certificate without key", args: cert[:2], says: "--tls-key"},
		{name: "device", args: []string{"--require-device", "tpu"}, says: "--require-device"},
		{name: "level", args: []string{"--log-level", "loud"}, says: "--log-level"},
		{name: "format", args: []string{"--log-format", "xml"}, says: "--log-format"},
		{name: "response cache", args: []string{"--response-cache", "churn=1024,sentiment"}, says: `"sentiment" is not of the form MODEL=BYTES`},
		{name: "no limit", args: []string{"--max-images", "0"}, says: "--max-images"},
		{name: "no store", args: []string{"--store", ""}, says: "--store"},
	} {
		t.Run(c.name, func(t *testing.T) {
			args := c.args
			if c.file != "" {
				args = append([]string{"--config", yamlFile(t, c.file)}, args...)
			}
			_, _, err := loadConfig("scryd", args, env(c.vars), io.Discard)
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v does not say %q", err, c.says)
			}
		})
	}
	for _, args := range [][]string{
		{"--grpc", "0.0.0.0:8001", "--insecure"}, append([]string{"--grpc", "0.0.0.0:8001"}, cert...), {"--grpc", "localhost:1"}, {"--grpc", "[::1]:1"}, {"--admin", ""},
	} {
		if _, _, err := loadConfig("scryd", args, env(nil), io.Discard); err != nil {
			t.Errorf("%q: %v", args, err)
		}
	}
}

// TestConfigReadsBack prints a configuration and reads what was printed.
func TestConfigReadsBack(t *testing.T) {
	for name, args := range map[string][]string{
		"defaults": nil,
		"all set": {"--store", "a: b # c", "--grpc", "[::1]:9", "--admin", "", "--insecure", "--max-texts", "7", "--drain-timeout", "1m30s",
			"--model-scoring", "yes", "--model-sentiment", "0x10", "--model-image-labels", "~", "--admin-token-file", " lead and trail ", "--import", "null", "--max-upload-bytes", "123456789012"},
	} {
		t.Run(name, func(t *testing.T) {
			want, _, err := loadConfig("scryd", args, env(nil), io.Discard)
			if err != nil {
				t.Fatal(err)
			}
			var printed bytes.Buffer
			if err := want.print(&printed); err != nil {
				t.Fatal(err)
			}
			got, _, err := loadConfig("scryd", []string{"--config", yamlFile(t, printed.String())}, env(nil), io.Discard)
			if err != nil {
				t.Fatalf("%v\n%s", err, &printed)
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got  %+v\nwant %+v\n%s", got, want, &printed)
			}
		})
	}
}

// TestVerbs runs what the program does beside serving.
func TestVerbs(t *testing.T) {
	output := func(args ...string) (string, error) {
		t.Helper()
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		stdout := os.Stdout
		os.Stdout = w
		read := make(chan string)
		go func() {
			text, _ := io.ReadAll(r)
			read <- string(text)
		}()
		err = run(t.Context(), args)
		os.Stdout = stdout
		_ = w.Close()
		return <-read, err
	}
	if out, err := output("version"); err != nil || strings.TrimSpace(out) == "" {
		t.Errorf("version: %q, %v", out, err)
	}
	if out, err := output("config", "--max-texts", "17"); err != nil || !strings.Contains(out, "\nmax-texts: 17\n") || !strings.Contains(out, "# texts of one call") {
		t.Errorf("config: %q, %v", out, err)
	}
	library := gputest.RuntimeConfig(t).Library
	out, err := output("doctor", "--runtime-dir", t.TempDir(), "--ort-library", library)
	if err != nil {
		t.Errorf("doctor: %v\n%s", err, out)
	}
	for _, want := range []string{"ONNX Runtime", "cuda", "driver", "cpu"} {
		if !strings.Contains(out, want) {
			t.Errorf("doctor does not mention %s:\n%s", want, out)
		}
	}
	out, err = output("doctor", "--runtime-dir", t.TempDir())
	if err == nil || !strings.Contains(err.Error(), "make setup") || !strings.Contains(out, "no ") {
		t.Errorf("doctor without a library: %v\n%s", err, out)
	}
	for _, args := range [][]string{{"sing"}, {"version-x"}, {"config", "extra"}, {"doctor", "--nonsense"}, {"probe"}, {"extra", "--store", "x"}} {
		if out, err := output(args...); err == nil {
			t.Errorf("%q: %q without an error", args, out)
		}
	}
}
