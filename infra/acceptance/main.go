// Command acceptance checks facts about AWS and the registry that are not documented, in the AWS
// account of the shell and at a live registry. `make acceptance` runs it, and docs/acceptance.md
// describes it.
//
// It deploys a temporary stack, stores a first key, goes through the life of a key, judges each
// fact in checks.go by its observations, writes a report, and removes everything that has the name
// of the run. It runs in the same way on AWS and on a local AWS. A fact that cannot be seen there
// is reported as such.
package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"quilt-rotate/infra/bundle"
	"quilt-rotate/infra/config"
	"quilt-rotate/internal/awsconfig"
	"quilt-rotate/internal/quilt"
	"quilt-rotate/internal/settings"
)

type options struct {
	config   string
	remove   string
	command  string
	yes      bool
	patience time.Duration
	wait     time.Duration
}

func main() {
	var o options
	flag.StringVar(&o.config, "config", "config.yaml", "configuration `file` of a stack: its registry, network "+
		"and rules")
	flag.StringVar(&o.remove, "remove", "", "only remove what the run of this `name` has left")
	flag.StringVar(&o.command, "command", "", "`path` of quilt-rotate (default: build/quilt-rotate of the checkout)")
	flag.BoolVar(&o.yes, "yes", false, "do not ask; the key to log in with then comes from standard input")
	flag.DurationVar(&o.patience, "patience", 2*time.Minute, "how long to wait for what should happen at once")
	flag.DurationVar(&o.wait, "wait", 15*time.Minute, "how long to wait for a repetition of a rotation, and for "+
		"events")
	flag.Parse()
	os.Exit(acceptance(o))
}

// acceptance returns the exit status. The first Ctrl-C ends the life and starts the removal. The
// second Ctrl-C ends the removal, which then reports what is left.
func acceptance(o options) int {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	living, removing := phases(signals)
	t, registry, err := prepare(living, o)
	if err == nil && o.remove == "" {
		err = t.confirm(o.yes)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if o.remove != "" {
		left := t.remove(removing)
		t.printLeft(os.Stdout, left)
		return min(1, len(left))
	}
	r := t.whole(living, removing, registry, o, append(deployment, parts...))
	files, err := write(t.folder(), r)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Printf("the report: %s\n", strings.Join(files, ", "))
	if !r.ok() {
		return 1
	}
	return 0
}

// phases returns the contexts of the life and of the removal. The first signal cancels the life,
// and the second one the removal.
func phases(signals <-chan os.Signal) (living, removing context.Context) {
	living, stopLiving := context.WithCancel(context.Background())
	removing, stopRemoving := context.WithCancel(context.Background())
	go func() {
		for _, stop := range []func(){stopLiving, stopRemoving} {
			<-signals
			stop()
		}
	}()
	return living, removing
}

// prepare reads the configuration and opens the clients. It changes nothing.
func prepare(ctx context.Context, o options) (*throwaway, *quilt.Client, error) {
	c, err := awsconfig.Load(ctx)
	if err != nil {
		return nil, nil, err
	}
	cloud := newCloud(c)
	account, err := cloud.account(ctx)
	if err != nil {
		return nil, nil, err
	}
	file, err := config.Load(o.config, config.AWS{Account: account, Region: c.Region})
	if err != nil {
		return nil, nil, err
	}
	if file.Account != account || file.Region != c.Region {
		return nil, nil, fmt.Errorf("%s is for the account %s in %s, and the shell has %s in %s: use the "+
			"credentials of "+
			"that account, or another file", o.config, file.Account, file.Region, account, c.Region)
	}
	name := cmp.Or(o.remove, newName())
	if !strings.HasPrefix(name, prefix) || len(name) == len(prefix) {
		return nil, nil, fmt.Errorf("%q is not the name of a run, which begins with %s", name, prefix)
	}
	folder, err := os.Getwd()
	if err != nil {
		return nil, nil, err
	}
	root, err := bundle.Root(folder)
	if err != nil {
		return nil, nil, err
	}
	registry, err := quilt.NewClient(file.Registry, quilt.Options{CABundle: file.CABundleBytes()})
	if err != nil {
		return nil, nil, err
	}
	t := &throwaway{name: name, config: file, cloud: cloud}
	t.run = &runner{root: root, command: cmp.Or(o.command, filepath.Join(root, "build", "quilt-rotate")),
		in: os.Stdin, out: os.Stdout,
		environment: []string{"AWS_REGION=" + c.Region, "CDK_DISABLE_CLI_TELEMETRY=true"}}
	if file.CABundle != "" {
		path := file.CABundle
		if !filepath.IsAbs(path) {
			path = filepath.Join(filepath.Dir(o.config), path)
		}
		t.run.environment = append(t.run.environment, settings.EnvCABundle+"="+path)
	}
	return t, registry, nil
}

// confirm asks once, before anything is changed.
func (t *throwaway) confirm(yes bool) error {
	fmt.Printf("This deploys the throwaway stack %s, uses it for about an hour, and removes it.\n"+
		"  account:  %s\n  region:   %s\n  registry: "+
		"%s\n", t.name, t.config.Account, t.config.Region, t.config.Registry)
	if yes {
		return nil
	}
	if info, err := os.Stdin.Stat(); err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return errors.New("there is no terminal to ask on: run it on a terminal, or with -yes")
	}
	fmt.Print("Type yes to continue: ")
	// A terminal returns one line at a time, so later input is not lost in the buffer.
	line, _ := bufio.NewReader(os.Stdin).ReadString('\n')
	if strings.TrimSpace(line) != "yes" {
		return errors.New("nothing was done")
	}
	return nil
}

// whole deploys, goes through the life and removes. It also removes after a failure and after
// Ctrl-C.
func (t *throwaway) whole(living, removing context.Context, registry *quilt.Client, o options, parts []part) *report {
	began := time.Now()
	r := &report{Run: t.name, Region: t.config.Region, Revision: t.revision(living), Began: began.UTC(),
		Left: []string{},
		hide: replacement{t.config.Account, "<account>", strings.TrimPrefix(registry.URL(), "https://"), "<registry>",
			registry.Host(), "<registry>"}}
	l := &life{throwaway: t, registry: registry, patience: o.patience, wait: o.wait, out: t.run.out, began: began}
	err := l.live(living, parts, r)
	if err != nil {
		fmt.Fprintln(t.run.out, "the run ends here:", r.hide.clean(err.Error()))
	}
	fmt.Fprintln(t.run.out, "removing everything named", t.name)
	r.Left = append(r.Left, t.remove(removing)...)
	t.printLeft(t.run.out, r.Left)
	r.judge(&l.seen)
	r.Seconds = int(time.Since(began).Seconds())
	return r
}

func (t *throwaway) printLeft(out io.Writer, left []string) {
	if len(left) == 0 {
		fmt.Fprintln(out, "everything was removed;", t.kept())
		return
	}
	for _, l := range left {
		fmt.Fprintln(out, "left:", l)
	}
	fmt.Fprintf(out, "to remove it, type: make acceptance CONFIG=<the same file> REMOVE=%s\n", t.name)
}

// revision returns the revision of the checkout, or "" if git does not know it.
func (t *throwaway) revision(ctx context.Context) string {
	command := exec.CommandContext(ctx, "git", "describe", "--always", "--dirty")
	command.Dir = t.run.root
	if output, err := command.Output(); err == nil {
		return strings.TrimSpace(string(output))
	}
	return "unknown"
}

// write writes the report as Markdown and as JSON.
func write(folder string, r *report) (files []string, err error) {
	for name, text := range map[string][]byte{"report.md": r.Markdown(), "report.json": r.JSON()} {
		file := filepath.Join(folder, name)
		err = errors.Join(err, os.WriteFile(file, text, 0o600))
		files = append(files, file)
	}
	return files, err
}
