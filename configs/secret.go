package configs

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"strings"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"

	"tandem/sip/digest"
)

// secret is a password, or what is left of one: its HA1 for our realm.
type secret struct {
	password    string
	sha256, md5 string // lower-case hex
}

// ownSecret is that of an extension.
type ownSecret struct {
	number string
	secret
}

// credential is what an extension proves itself with.
func (s *secret) credential(username, realm string) digest.Credential {
	if s.password != "" {
		return digest.NewCredential(username, realm, s.password)
	}
	return digest.Credential{Username: username, Realm: realm, SHA256: s.sha256, MD5: s.md5}
}

var secretType = cty.Capsule("secret", reflect.TypeFor[secret]())

// secretFunction is secret("env:ALICE") and its like in the configuration. Its value cannot be a text of anything else.
func (l *loader) secretFunction() function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "where", Type: cty.String}},
		Type:   function.StaticReturnType(secretType),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			s, err := l.secret(args[0].AsString())
			if err != nil {
				return cty.NilVal, function.NewArgError(0, err)
			}
			return cty.CapsuleVal(secretType, &s), nil
		},
	})
}

var errSecretForm = errors.New("write env:NAME for a variable of the environment, file:PATH for a file, or sha256:HEX or md5:HEX for HA1, " +
	"the hash of user:realm:password")

// secret reads a secret from where a text says it is. Several hashes are parted by blanks.
func (l *loader) secret(where string) (secret, error) {
	kind, rest, ok := strings.Cut(where, ":")
	if !ok || rest == "" {
		return secret{}, errSecretForm
	}
	switch kind {
	case "env":
		text, ok := os.LookupEnv(rest)
		if !ok {
			return secret{}, fmt.Errorf("the environment has no variable %s", rest)
		}
		return notEmpty(text, "the variable "+rest)
	case "file":
		path := l.path(rest)
		text, err := readSecret(path)
		if err != nil {
			return secret{}, fmt.Errorf("%s: %s", path, reason(err))
		}
		return notEmpty(strings.TrimRight(string(text), "\r\n"), path)
	case "sha256", "md5":
		return hashes(where)
	}
	return secret{}, errSecretForm
}

// longestSecret bounds the file of a secret: what is longer is another file.
const longestSecret = 64 << 10

func readSecret(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, longestSecret+1))
	if err == nil && len(text) > longestSecret {
		err = errors.New("it is too long for a secret")
	}
	return text, err
}

func notEmpty(password, where string) (secret, error) {
	if password == "" {
		return secret{}, fmt.Errorf("%s is empty", where)
	}
	return secret{password: password}, nil
}

func hashes(text string) (s secret, err error) {
	for part := range strings.FieldsSeq(text) {
		kind, hash, _ := strings.Cut(part, ":")
		raw, err := hex.DecodeString(hash)
		switch {
		case kind == "sha256" && err == nil && len(raw) == 32:
			s.sha256 = strings.ToLower(hash)
		case kind == "md5" && err == nil && len(raw) == 16:
			s.md5 = strings.ToLower(hash)
		case kind == "sha256":
			return s, fmt.Errorf("the SHA-256 of user:realm:password has 64 hexadecimal digits")
		case kind == "md5":
			return s, fmt.Errorf("the MD5 of user:realm:password has 32 hexadecimal digits")
		default:
			return s, errSecretForm
		}
	}
	return s, nil
}
