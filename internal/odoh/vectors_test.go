package odoh

import (
	"bytes"
	"encoding/hex"
	"testing"
	"time"
)

// What another implementation, cloudflare/odoh-go, says with a key that is known: its vectors for X25519, HKDF-SHA256 and AES-128-GCM.
const (
	vectorSeed    = "c9d84d04e6369fccb8a4d5a264001491221f1b97d9b80dd32c35834bb4462383"
	vectorConfigs = "002c000100280020000100010020c6a793bedbd601c25970b1cc46bea80fdb1a8ec51540d79e4f9f17b8baa9da33"
	vectorID      = "9265d14d640ff991b31892f36326ab601ea84d61964fc7a9c7f981a5313e58b9"
)

var vectors = []struct {
	query, answer    string
	block            int
	sealed, response string
}{
	{
		query: "9db1072b0ab473d1e4b74b09637d5f8f253ad4047426ab4dfcc58350bb67b60c",
		answer: "9db1072b0ab473d1e4b74b09637d5f8f253ad4047426ab4dfcc58350bb67b60c9db1072b0ab473d1e4b74b09637d5f8f253ad4047426ab4dfcc58350" +
			"bb67b60c", block: 0,
		sealed: "0100209265d14d640ff991b31892f36326ab601ea84d61964fc7a9c7f981a5313e58b90054655d2fa2b2271e40b5a78745e41e6d6c5c181fd1fcffcc" +
			"30fc451d5ec7fdcc5a6ae0da1cba2bd379da93d02d0e42a3849ec6ba53a54c7c8216f0d3cc2cef30ac54f824f5d8b57657d8c7b95e2c0276580b3851" +
			"d9",
		response: "0200100f474d14998a841b15f84388a8af1881005413556bcd8d86194fb47a51982b715b7f253f4f3ea14d89a5dd9d2b67e6c13b0b7eb7ae740c09d9" +
			"15ef77461956ba8acac5c5f1d8965ca0888b1c0aa2a0084b4c2c375b74e1c3d4e51ad3fe8080b7941fd5719df5",
	},
	{
		query: "44f20987ac22db1994d3bb73826e2a20e24e5ca3e98d13fcf664a96c59fab7a0",
		answer: "44f20987ac22db1994d3bb73826e2a20e24e5ca3e98d13fcf664a96c59fab7a044f20987ac22db1994d3bb73826e2a20e24e5ca3e98d13fcf664a96c" +
			"59fab7a0", block: 128,
		sealed: "0100209265d14d640ff991b31892f36326ab601ea84d61964fc7a9c7f981a5313e58b900540af79ff8441b04b98ae2e433879a6aa315eeb9325140fc" +
			"43f3bbcd1617de271cc08906d35de8c575c61ba3d989e3c1663b6e9a727a97c9326f06d11a9720e89b5f5a7513ad6fbd73ce4d996d6ce2b1c2028366" +
			"91",
		response: "02001033e1570b05a7a3001041a94bba0c77130094678dfb7e2dbb456ca05a4af5d9f7c2e82564cde42ec37a904d8fb57fb6bdf7661bd9a32df37d2d" +
			"fe1686ca56544e1b7f435a29aff10ccbf9bc9c996cea7aa69b6a8e123f652b86938d79a7883b756d45f9ca6e0f38ddf8b9e5dac088480f6187a1287b" +
			"788d3dc4991b532f36736188e1a9e3d7a615cf1b61396652502400bd740e35265357876a9345ea7efe4c7f19a1081dd886",
	},
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	octets, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return octets
}

// RFC 9230 sections 5, 6.1 and 6.2, octet for octet.
func TestVectorsOfAnotherImplementation(t *testing.T) {
	private, err := kem.DeriveKeyPair(unhex(t, vectorSeed))
	if err != nil {
		t.Fatal(err)
	}
	own := keyOf(private, time.Unix(0, 0))
	if configs := appendConfigs(nil, private.PublicKey()); hex.EncodeToString(configs) != vectorConfigs {
		t.Errorf("configurations %x", configs)
	}
	if hex.EncodeToString(own.id) != vectorID {
		t.Errorf("key ID %x", own.id)
	}
	c, err := ParseConfigs(unhex(t, vectorConfigs))
	if err != nil || !bytes.Equal(c.id, own.id) || !bytes.Equal(c.key.Bytes(), private.PublicKey().Bytes()) {
		t.Errorf("read as key %x: %v", c.id, err)
	}
	keys := &Keys{current: own}
	for _, v := range vectors {
		query, a, err := keys.Open(time.Unix(0, 0), unhex(t, v.sealed))
		if err != nil || hex.EncodeToString(query) != v.query {
			t.Fatalf("query %x: %v", query, err)
		}
		nonce := unhex(t, v.response)[3 : 3+responseNonce]
		if response, err := a.sealWith(nonce, unhex(t, v.answer), v.block); err != nil || hex.EncodeToString(response) != v.response {
			t.Errorf("response %x: %v", response, err)
		}
		x := &Exchange{a.answering}
		if answer, err := x.Open(unhex(t, v.response)); err != nil || hex.EncodeToString(answer) != v.answer {
			t.Errorf("answer %x: %v", answer, err)
		}
	}
}
