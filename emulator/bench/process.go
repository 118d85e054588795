package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// clockTick is the unit of CPU times in /proc on Linux, whatever the kernel's own.
const clockTick = 10 * time.Millisecond

// peakRSS returns the most memory that a process has held, in MiB.
func peakRSS(pid int) (float64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, fmt.Errorf("read peak memory: %w", err)
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 64)
			return kib / 1024, err
		}
	}
	return 0, fmt.Errorf("read peak memory: no VmHWM of process %d", pid)
}

// usage is a living process as /proc shows it.
type usage struct {
	pid, parent int
	cpu         time.Duration
}

func readUsage(pid int) (usage, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return usage{}, fmt.Errorf("read CPU time: %w", err)
	}
	// The name, in brackets, may hold anything.
	_, rest, _ := strings.Cut(string(text[strings.LastIndexByte(string(text), ')'):]), " ")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return usage{}, fmt.Errorf("read CPU time: short line of process %d", pid)
	}
	var n [3]int
	for i, at := range []int{1, 11, 12} { // ppid, utime, stime
		if n[i], err = strconv.Atoi(fields[at]); err != nil {
			return usage{}, fmt.Errorf("read CPU time: %w", err)
		}
	}
	return usage{pid: pid, parent: n[0], cpu: time.Duration(n[1]+n[2]) * clockTick}, nil
}

// familyCPU returns the CPU time of this process and all living ones below it.
func familyCPU() (time.Duration, error) {
	names, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return 0, err
	}
	children := map[int][]usage{}
	for _, name := range names {
		pid, err := strconv.Atoi(filepath.Base(name))
		if err != nil {
			continue
		}
		if u, err := readUsage(pid); err == nil { // it may just have ended
			children[u.parent] = append(children[u.parent], u)
		}
	}
	self, err := readUsage(os.Getpid())
	if err != nil {
		return 0, err
	}
	var sum func(u usage) time.Duration
	sum = func(u usage) time.Duration {
		total := u.cpu
		for _, c := range children[u.pid] {
			total += sum(c)
		}
		return total
	}
	return sum(self), nil
}
