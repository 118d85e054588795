package engine

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"unicode/utf8"

	"github.com/cespare/xxhash/v2"
)

func addHashes(m map[string]builtin) {
	m["hash"] = builtin{min: 1, max: 2, special: hash}
	m["hash_xxhash64"] = m["hash"]
	digest := func(sum func([]byte) []byte) builtin {
		return builtin{min: 1, max: 1, special: func(s *scope, x *call) (*expr, error) {
			v, err := s.compile(x.args[0])
			if err != nil {
				return nil, err
			}
			return fold(&expr{typ: TypeString, eval: func(r *Record) any {
				text := FormatText(v.typ, v.eval(r))
				if text == "" {
					return ""
				}
				return hex.EncodeToString(sum([]byte(text)))
			}}, v), nil
		}}
	}
	m["hash_md5"] = digest(func(b []byte) []byte { h := md5.Sum(b); return h[:] })
	m["hash_sha1"] = digest(func(b []byte) []byte { h := sha1.Sum(b); return h[:] })
	m["hash_sha256"] = digest(func(b []byte) []byte { h := sha256.Sum256(b); return h[:] })
	m["base64_encode_tostring"] = builtin{min: 1, max: 1, types: "s", typ: TypeString, call: func(a []any) any {
		return base64.StdEncoding.EncodeToString([]byte(FormatText(TypeDynamic, a[0])))
	}}
	m["base64_decode_tostring"] = builtin{min: 1, max: 1, types: "s", typ: TypeString, call: func(a []any) any {
		b, err := base64.StdEncoding.DecodeString(FormatText(TypeDynamic, a[0]))
		if err != nil || !utf8.Valid(b) {
			return ""
		}
		return string(b)
	}}
}

// hash is xxHash64 with the query's seed, 0 as documented, over a string's UTF-8 bytes or a datetime's eight
// little-endian tick bytes, as a signed number; with a modulus it is 0…mod-1.
// What the service hashes for other types is not documented: they are refused.
// Nor is how it reduces a negative hash by a modulus that is no power of two;
// shard by powers of two, where all readings agree.
func hash(s *scope, x *call) (*expr, error) {
	args, err := s.args(x.args)
	if err != nil {
		return nil, err
	}
	v := args[0]
	switch v.typ {
	case TypeString, TypeDatetime:
	default:
		return nil, unsupported(x.place, "hash() of a value of type %s", v.typ)
	}
	mod := int64(0)
	if len(args) == 2 {
		n, ok := args[1].val.(int64)
		if !args[1].konst || !ok || n <= 0 {
			return nil, s.fail(x, "SEM0219", "%s(): the modulus must be a positive constant", x.name)
		}
		mod = n
	}
	seed := s.env.eng.query.Hash
	return fold(counting(TypeLong, func(r *Record) (int64, bool) {
		d := xxhash.NewWithSeed(seed)
		if v.typ == TypeDatetime {
			n, ok := counted(v.eval(r))
			if !ok {
				return 0, false
			}
			var b [8]byte
			binary.LittleEndian.PutUint64(b[:], uint64(n))
			_, _ = d.Write(b[:]) // a hash takes everything
		} else {
			_, _ = d.WriteString(text(v.eval(r)))
		}
		h := int64(d.Sum64())
		if mod > 0 {
			h = modulo(h, mod)
		}
		return h, true
	}), args...), nil
}
