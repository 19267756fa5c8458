package cluster

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"time"
)

// Fence turns the other machine off, or cuts it from the network, and says whether it has: by IPMI, a hypervisor or a cloud.
// Only a success lets a node without a witness promote itself.
type Fence struct {
	Command []string      // program and arguments, run without a shell; TANDEM_FENCE (the node to turn off), TANDEM_NODE and TANDEM_EPOCH are in its environment
	Timeout time.Duration // after which it is killed, and counts as failed
	After   time.Duration // how long the other must be silent before
}

func (f Fence) set() bool { return len(f.Command) > 0 }

// fenceAgain is how long a failed fence waits before it is tried again.
const fenceAgain = 10 * time.Second

// run turns a node off; nil means that it is off.
func (f Fence) run(ctx context.Context, victim, node string, epoch uint64) error {
	ctx, cancel := context.WithTimeout(ctx, f.Timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, f.Command[0], f.Command[1:]...)
	cmd.Env = append(os.Environ(), "TANDEM_FENCE="+victim, "TANDEM_NODE="+node, "TANDEM_EPOCH="+strconv.FormatUint(epoch, 10))
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	switch {
	case ctx.Err() == context.DeadlineExceeded:
		return fmt.Errorf("%s did not end within %v", f.Command[0], f.Timeout)
	case err != nil:
		return fmt.Errorf("%s: %w: %s", f.Command[0], err, lastLine(out))
	}
	return nil
}
