package cache

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"spate/job"
)

// useView does with a view whatever is ever done with one, and returns what failed first.
func useView(ctx context.Context, client redis.UniversalClient) error {
	const epoch, bits = 7, 16
	view, keys := NewView(client, "spate:default"), testKeys(0, 300)
	writer, err := view.Create(ctx, epoch, bits)
	if err != nil {
		return err
	}
	if err := writer.Apply(ctx, keys[:200], nil); err != nil {
		return err
	}
	if err := writer.Apply(ctx, nil, keys[:100]); err != nil {
		return err
	}
	answers := view.Lookup(ctx, writer.Mark(), keys)
	if answers.Err != nil || answers.Suspect || answers.Sequence != 3 {
		return fmt.Errorf("lookup: suspect %v, sequence %d: %w", answers.Suspect, answers.Sequence, answers.Err)
	}
	for i, p := range answers.Presence {
		want := job.Miss
		if i >= 100 && i < 200 {
			want = job.Hit
		}
		if p != want {
			return fmt.Errorf("key %d is %s, want %s", i, p, want)
		}
	}
	resumed, err := view.Resume(ctx, writer.Mark())
	if err != nil {
		return err
	}
	if err := resumed.Apply(ctx, nil, nil); err != nil {
		return err
	}
	if err := resumed.Verify(ctx); err != nil {
		return err
	}
	read, err := view.members(ctx, resumed.Mark(), 0, 1<<10)
	if err != nil {
		return err
	}
	for bucket, members := range read {
		if len(members) != len(bucketed(bits, keys[100:200])[uint32(bucket)]) {
			return fmt.Errorf("bucket %d has members %v", bucket, members)
		}
	}
	if resumed.outputs() != 100 {
		return fmt.Errorf("%d outputs, want 100", resumed.outputs())
	}
	if err := writer.Apply(ctx, nil, nil); !errors.Is(err, ErrSuperseded) {
		return fmt.Errorf("error is %w, want %w", err, ErrSuperseded)
	}
	if err := view.Clear(ctx, epoch, bits); err != nil {
		return err
	}
	if answers := view.Lookup(ctx, writer.Mark(), keys); !answers.Suspect {
		return errors.New("an epoch that was cleared answers")
	}
	return nil
}

// asUser makes a user of a limited set of commands on a server and nobody else, and returns the client of a URL with it.
func asUser(t *testing.T, admin *redis.Client, commands string) {
	t.Helper()
	for _, command := range [][]any{
		{"acl", "setuser", "admin", "on", ">admin", "~*", "+@all"},
		{"auth", "admin", "admin"},
		append([]any{"acl", "setuser", "spate", "on", ">s3cret", "~{spate:default}:*", "-@all"}, words(commands)...),
		{"acl", "setuser", "default", "off"},
	} {
		if err := admin.Do(t.Context(), command...).Err(); err != nil {
			t.Fatalf("%v: %v", command, err)
		}
	}
}

func words(s string) []any {
	var out []any
	for w := range strings.FieldsSeq(s) {
		out = append(out, w)
	}
	return out
}

func openedRedis(t *testing.T, url string, cluster bool) redis.UniversalClient {
	t.Helper()
	client, err := OpenRedis(url, cluster)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func TestAUserOfFewCommandsSuffices(t *testing.T) {
	server := realRedis(t)
	admin := server.client()
	admin.Options().PoolSize = 1
	asUser(t, admin, RedisCommands)
	url := "redis://spate:s3cret@" + server.address
	client := openedRedis(t, url, false)
	if err := useView(t.Context(), client); err != nil {
		t.Fatalf("with %s: %v", RedisCommands, err)
	}
	view := NewView(client, "spate:default")
	if limit := view.intsetLimit(t.Context()); limit != defaultIntsetLimit {
		t.Errorf("limit is %d where the server may not tell", limit)
	}
	if _, err := view.Server(t.Context()); err == nil {
		t.Error("INFO is told to a user without the right to it")
	}
	if err := client.Get(t.Context(), "other").Err(); err == nil || !strings.Contains(err.Error(), "NOPERM") {
		t.Errorf("the user may read other keys: %v", err)
	}
}

func TestAViewOverTLSAsAUserWithAPassword(t *testing.T) {
	authority, certificate, key := certificates(t)
	server := realRedis(t)
	admin := server.client()
	address := freeAddress(t)
	_, port, _ := net.SplitHostPort(address)
	for _, setting := range [][]string{
		{"tls-cert-file", certificate},
		{"tls-key-file", key},
		{"tls-ca-cert-file", certificate},
		{"tls-auth-clients", "no"},
		{"tls-port", port},
		{"set-max-intset-entries", "300"},
	} {
		if err := admin.ConfigSet(t.Context(), setting[0], setting[1]).Err(); err != nil {
			t.Skipf("SKIPPED: this redis-server has no TLS: %v", err)
		}
	}
	asUser(t, admin, RedisCommands+" "+RedisTellingCommands)

	url := "rediss://spate:s3cret@" + address
	stranger := openedRedis(t, url, false)
	var unknown *tls.CertificateVerificationError
	if err := stranger.Get(t.Context(), "{spate:default}:x").Err(); !errors.As(err, &unknown) {
		t.Errorf("error is %v, want one about the certificate", err)
	}
	client := openedRedis(t, url, false)
	client.(*redis.Client).Options().TLSConfig.RootCAs = authority //nolint:forcetypeassert // as it was asked for
	if err := useView(t.Context(), client); err != nil {
		t.Fatal(err)
	}
	view := NewView(client, "spate:default")
	if told, err := view.Server(t.Context()); err != nil || told.RunID == "" {
		t.Errorf("server is %+v, error %v", told, err)
	}
	if limit := view.intsetLimit(t.Context()); limit != 300 {
		t.Errorf("limit is %d, want 300", limit)
	}
	writer, err := view.Create(t.Context(), 1, 16)
	if err != nil {
		t.Fatal(err)
	}
	if err := writer.Apply(t.Context(), testKeys(0, 2000), nil); err != nil {
		t.Fatal(err)
	}
	if n := view.weigh(t.Context(), 1, 16); n <= 0 {
		t.Errorf("2000 outputs take %d bytes", n)
	}
}

// certificates makes an authority, and a certificate of 127.0.0.1 signed by it, in files.
func certificates(t *testing.T) (authority *x509.CertPool, certificate, key string) {
	t.Helper()
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	authorityKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	root := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, root, root, &authorityKey.PublicKey, authorityKey)
	must(err)
	root, err = x509.ParseCertificate(der)
	must(err)
	serverKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "redis"}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err = x509.CreateCertificate(rand.Reader, leaf, root, &serverKey.PublicKey, authorityKey)
	must(err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(serverKey)
	must(err)
	dir := t.TempDir()
	certificate, key = filepath.Join(dir, "redis.crt"), filepath.Join(dir, "redis.key")
	must(os.WriteFile(certificate, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	must(os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), 0o600))
	authority = x509.NewCertPool()
	authority.AddCert(root)
	return authority, certificate, key
}

// redisCluster starts two nodes that share the slots.
func redisCluster(t *testing.T) []*redisServer {
	t.Helper()
	nodes, buses := make([]*redisServer, 2), make([]string, 2)
	for i := range nodes {
		_, buses[i], _ = net.SplitHostPort(freeAddress(t))
		nodes[i] = realRedis(t, "--cluster-enabled", "yes", "--cluster-port", buses[i], "--cluster-node-timeout", "2000")
	}
	for i, node := range nodes {
		client, slots := node.client(), []any{"cluster", "addslotsrange", 8192 * i, 8192*i + 8191}
		if err := client.Do(t.Context(), slots...).Err(); err != nil {
			t.Fatal(err)
		}
		if err := client.Do(t.Context(), "cluster", "set-config-epoch", i+1).Err(); err != nil {
			t.Fatal(err)
		}
	}
	_, port, _ := net.SplitHostPort(nodes[1].address)
	if err := nodes[0].client().Do(t.Context(), "cluster", "meet", "127.0.0.1", port, buses[1]).Err(); err != nil {
		t.Fatal(err)
	}
	for _, node := range nodes {
		client := node.client()
		eventually(t, "the cluster is whole", func() bool {
			info, err := client.ClusterInfo(t.Context()).Result()
			return err == nil && strings.Contains(info, "cluster_state:ok") && strings.Contains(info, "cluster_slots_ok:16384")
		})
	}
	return nodes
}

func TestAViewInACluster(t *testing.T) {
	nodes := redisCluster(t)
	for _, node := range nodes {
		admin := node.client()
		admin.Options().PoolSize = 1
		asUser(t, admin, RedisCommands+" "+RedisClusterCommands+" "+RedisTellingCommands)
	}
	for i, seed := range nodes { // one of them does not hold the view
		t.Run(fmt.Sprintf("asking node %d", i), func(t *testing.T) {
			client := openedRedis(t, "redis://spate:s3cret@"+seed.address, true)
			if err := useView(t.Context(), client); err != nil {
				t.Fatal(err)
			}
			view := NewView(client, "spate:default")
			told, err := view.Server(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for range 10 {
				if again, err := view.Server(t.Context()); err != nil || again.RunID != told.RunID {
					t.Fatalf("now node %s tells, before it was %s; error %v", again.RunID, told.RunID, err)
				}
			}
		})
	}
	t.Run("which went away", func(t *testing.T) {
		url := "redis://spate:s3cret@" + nodes[0].address + "?addr=" + nodes[1].address + "&max_redirects=1"
		view, keys := NewView(openedRedis(t, url, true), "spate:default"), testKeys(0, 50)
		writer, err := view.Create(t.Context(), 1, 16)
		if err != nil {
			t.Fatal(err)
		}
		if err := writer.Apply(t.Context(), keys, nil); err != nil {
			t.Fatal(err)
		}
		for _, node := range nodes {
			node.stop()
		}
		answers := view.Lookup(t.Context(), writer.Mark(), keys)
		all(t, answers.Presence, job.Unknown)
		if answers.Err == nil {
			t.Error("nothing is said of why")
		}
	})
}

func TestAURLThatCannotBeParsedIsNotRepeated(t *testing.T) {
	for _, cluster := range []bool{false, true} {
		for _, url := range []string{"redis://spate:s3cret@host:port", "http://spate:s3cret@host", "redis://spate:s3cret@host:1?what=1"} {
			_, err := OpenRedis(url, cluster)
			if err == nil || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("%s: error is %v", url, err)
			}
		}
	}
}

// bucketed are the members of some keys by bucket.
func bucketed(bits BucketBits, keys []job.Key) map[uint32][]int64 {
	members := map[uint32][]int64{}
	for _, k := range keys {
		members[bits.bucket(k)] = append(members[bits.bucket(k)], bits.member(k))
	}
	return members
}

func TestTheCommandsOfALimitedUserAreThoseWritten(t *testing.T) {
	text, err := os.ReadFile("../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, commands := range []string{RedisCommands + " " + RedisTellingCommands, RedisClusterCommands} {
		if !strings.Contains(string(text), commands) {
			t.Errorf("docs/configuration.md does not say %s", commands)
		}
	}
}
