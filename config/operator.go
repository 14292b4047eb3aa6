package config

import (
	"errors"
	"unicode"
)

// Operator is the table [operator]: what only the operator can say, for the privacy statement. Empty: not declared.
type Operator struct {
	Name, Jurisdiction, Contact, PacketCapture, FrontedBy string
	Partners                                              []string
}

var operatorOptions = []option{
	{
		table: "operator", key: "name", kind: textKind, form: formDeclared, standard: `""`,
		about: "Who runs this resolver.",
		set:   func(k *checker, v value) { k.config.Operator.Name = one(k, v, parseDeclared) },
	},
	{
		table: "operator", key: "jurisdiction", kind: textKind, form: formDeclared, standard: `""`,
		about: "Whose law holds for the operator.",
		set:   func(k *checker, v value) { k.config.Operator.Jurisdiction = one(k, v, parseDeclared) },
	},
	{
		table: "operator", key: "contact", kind: textKind, form: formDeclared, standard: `""`,
		about: "Where questions about privacy go.",
		set:   func(k *checker, v value) { k.config.Operator.Contact = one(k, v, parseDeclared) },
	},
	{
		table: "operator", key: "partners", kind: listKind, form: formDeclared, standard: `[]`,
		about: "With whom data is shared, [\"none\"] if with nobody.",
		set:   func(k *checker, v value) { k.config.Operator.Partners = all(k, v, parseDeclared) },
	},
	{
		table: "operator", key: "packet_capture", kind: textKind, form: formDeclared, standard: `""`,
		about: "Whether packets are captured or sampled on the machine or its network, which tacit cannot see: \"none\", or how much and for how long.",
		set:   func(k *checker, v value) { k.config.Operator.PacketCapture = one(k, v, parseDeclared) },
	},
	{
		table: "operator", key: "fronted_by", kind: textKind, form: formDeclared, standard: `""`,
		about: "Who takes clients' connections before tacit does, such as a load balancer: \"none\", or who, and what is logged there.",
		set:   func(k *checker, v value) { k.config.Operator.FrontedBy = one(k, v, parseDeclared) },
	},
}

const (
	formDeclared = "text"
	maxDeclared  = 400
)

var errDeclared = errors.New("is longer than 400 octets, or has characters that cannot be printed")

// parseDeclared reads what is shown as it is.
func parseDeclared(s string) (string, error) {
	for _, r := range s {
		if !unicode.IsPrint(r) || r == unicode.ReplacementChar {
			return "", errDeclared
		}
	}
	if len(s) > maxDeclared {
		return "", errDeclared
	}
	return s, nil
}
