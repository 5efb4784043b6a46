package gpu

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// hostMemory returns how many bytes this process may use and how many of them
// are free, by /proc/meminfo and every control group that it is in. Zeros when
// unknown.
func hostMemory() (total, free int64) {
	total, free = meminfo("/proc/meminfo")
	groups, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return total, free
	}
	for line := range strings.Lines(string(groups)) {
		// hierarchy:controllers:path; version 2 has no controllers.
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(f) != 3 {
			continue
		}
		switch {
		case f[1] == "":
			total, free = withGroups(total, free, "/sys/fs/cgroup", f[2], "memory.max", "memory.current", "inactive_file ")
		case strings.Contains(","+f[1]+",", ",memory,"):
			total, free = withGroups(total, free, "/sys/fs/cgroup/memory", f[2], "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file ")
		}
	}
	return total, free
}

// withGroups narrows total and free by the limits of a control group and of
// those above it. Files cached in memory count as free.
func withGroups(total, free int64, root, path, limitFile, usedFile, cached string) (int64, int64) {
	for path = filepath.Clean("/" + path); ; path = filepath.Dir(path) {
		dir := filepath.Join(root, path)
		limit, ok := readInt(filepath.Join(dir, limitFile))
		used, okUsed := readInt(filepath.Join(dir, usedFile))
		// Version 1 writes "no limit" as a number near 2^63.
		if ok && okUsed && limit < 1<<60 {
			if stat, err := os.ReadFile(filepath.Join(dir, "memory.stat")); err == nil {
				for line := range strings.Lines(string(stat)) {
					if v, found := strings.CutPrefix(line, cached); found {
						n, _ := strconv.ParseInt(strings.TrimSpace(v), 10, 64)
						used -= n
					}
				}
			}
			if total == 0 || limit < total {
				total = limit
			}
			if left := max(limit-max(used, 0), 1); free == 0 || left < free {
				free = left
			}
		}
		if path == "/" {
			return total, free
		}
	}
}

func readInt(path string) (int64, bool) {
	data, err := os.ReadFile(path)
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(data)), 10, 64)
	return n, err == nil
}

func meminfo(path string) (total, available int64) {
	data, err := os.ReadFile(path)
	if err != nil {
		return 0, 0
	}
	for line := range strings.Lines(string(data)) {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		n, _ := strconv.ParseInt(f[1], 10, 64)
		switch f[0] {
		case "MemTotal:":
			total = n << 10
		case "MemAvailable:":
			available = n << 10
		}
	}
	return total, available
}
