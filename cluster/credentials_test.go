package cluster

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"
)

// credentialed is a NATS server of an operator, with one account for the switch; it gives the file of a user.
func credentialed(t *testing.T) (url, file string) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	newPair := func(make func() (nkeys.KeyPair, error)) (nkeys.KeyPair, string) {
		k, err := make()
		must(err)
		public, err := k.PublicKey()
		must(err)
		return k, public
	}
	operator, operatorName := newPair(nkeys.CreateOperator)
	account, accountName := newPair(nkeys.CreateAccount)
	user, userName := newPair(nkeys.CreateUser)
	_, systemName := newPair(nkeys.CreateAccount)

	own := jwt.NewOperatorClaims(operatorName)
	ownText, err := own.Encode(operator)
	must(err)
	own, err = jwt.DecodeOperatorClaims(ownText)
	must(err)
	claims := jwt.NewAccountClaims(accountName)
	claims.Limits.JetStreamLimits = jwt.JetStreamLimits{MemoryStorage: -1, DiskStorage: -1, Streams: -1, Consumer: -1}
	accountText, err := claims.Encode(operator)
	must(err)
	userText, err := jwt.NewUserClaims(userName).Encode(account)
	must(err)
	seed, err := user.Seed()
	must(err)
	text, err := jwt.FormatUserConfig(userText, seed)
	must(err)

	file = filepath.Join(t.TempDir(), "switch.creds")
	must(os.WriteFile(file, text, 0o600))
	systemText, err := jwt.NewAccountClaims(systemName).Encode(operator)
	must(err)
	accounts := &server.MemAccResolver{}
	must(accounts.Store(systemName, systemText))
	must(accounts.Store(accountName, accountText))
	s, err := server.NewServer(&server.Options{ServerName: "n", Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true, JetStream: true, StoreDir: t.TempDir(),
		TrustedOperators: []*jwt.OperatorClaims{own}, AccountResolver: accounts, SystemAccount: systemName})
	must(err)
	ended := make(chan struct{})
	go func() { defer close(ended); s.Start() }()
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
		<-ended
	})
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("the server is not ready")
	}
	return s.ClientURL(), file
}

// A store that knows users by JWT takes the records of one who has the file `credentials`, and of nobody else.
func TestCredentialsOfAnOutsideStore(t *testing.T) {
	t.Parallel()
	url, file := credentialed(t)
	cfg := Config{Node: "single", Dir: t.TempDir(), Buckets: testBuckets, Store: Store{Servers: []string{url}, Credentials: file, Replicas: 1}}
	e, err := Open(context.Background(), cfg, quiet)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.PutWait(context.Background(), Write{Bucket: "reg", Key: "1001", Value: []byte("here")}); err != nil && err != ErrDegraded {
		t.Error(err)
	}
	e.Close()
	e, err = Open(context.Background(), cfg, quiet)
	if err != nil {
		t.Fatal(err)
	}
	if got := loadAll(t, e, "reg"); len(got) != 1 {
		t.Errorf("%d records", len(got))
	}
	if s := e.Status(); s.Store != url {
		t.Errorf("store %q", s.Store)
	}
	e.Close()
	for name, c := range map[string]struct{ file, want string }{"none": {"", "store"}, "not there": {file + "x", "no such file"}} {
		bad := cfg
		bad.Dir, bad.Store.Credentials = t.TempDir(), c.file
		short, cancel := context.WithTimeout(context.Background(), time.Second)
		if _, err := Open(short, bad, quiet); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
		cancel()
	}
}
