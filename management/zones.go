package management

import (
	"slices"
	"time"
)

// A zoneForm is a zone in JSON.
type zoneForm struct {
	ID          string    `json:"id"`
	Name        string    `json:"name"`
	Status      string    `json:"status"`
	Paused      bool      `json:"paused"`
	Type        string    `json:"type"`
	Mode        int       `json:"development_mode"`
	NameServers []string  `json:"name_servers"`
	Originals   []string  `json:"original_name_servers"`
	Account     account   `json:"account"`
	Owner       account   `json:"owner"`
	Permissions []string  `json:"permissions"`
	Created     time.Time `json:"created_on"`
	Modified    time.Time `json:"modified_on"`
	Activated   time.Time `json:"activated_on"`
}

// An account is there because clients look for one.
type account struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

var ownAccount = account{ID: IDOf("account"), Name: "tacit"}

func formOfZone(z *Zone) zoneForm {
	f := zoneForm{
		ID: z.ID, Name: z.Name, Status: z.Status, Paused: z.Paused, Type: "full", NameServers: z.NameServers, Originals: []string{},
		Account: ownAccount, Owner: ownAccount, Permissions: []string{"#dns_records:edit", "#dns_records:read", "#zone:read"},
		Created: timestamp(z.Modified), Modified: timestamp(z.Modified), Activated: timestamp(z.Modified),
	}
	if z.Partial {
		f.Type = "partial"
	}
	if f.NameServers == nil {
		f.NameServers = []string{}
	}
	return f
}

// zone is the zone that the path names, if the token opens it. A zone that it does not open is none.
func (r *request) zone() (*Zone, error) {
	id := r.PathValue("zone")
	list, err := r.manager.Zones()
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(list, func(z Zone) bool { return z.ID == id && r.token.opens(z.Name) })
	if i < 0 {
		return nil, ErrNoZone
	}
	return &list[i], nil
}

func (r *request) listZones() (any, error) {
	list, err := r.manager.Zones()
	if err != nil {
		return nil, err
	}
	query := r.URL.Query()
	var forms []zoneForm
	for i := range list {
		z := &list[i]
		name, status, owner := query.Get("name"), query.Get("status"), query.Get("account.id")
		if r.token.opens(z.Name) && (name == "" || canonical(name) == z.Name) && (status == "" || status == z.Status) && (owner == "" || owner == ownAccount.ID) {
			forms = append(forms, formOfZone(z))
		}
	}
	return paged(query, forms, 20, 50)
}

func (r *request) createZone() (any, error) {
	var body struct {
		Name string `json:"name"`
	}
	if err := r.read(&body); err != nil {
		return nil, err
	}
	if len(r.token.zones) > 0 && !r.token.opens(canonical(body.Name)) {
		return nil, errToken
	}
	z, err := r.manager.CreateZone(canonical(body.Name))
	return formOfZone(&z), err
}

func (r *request) showZone() (any, error) {
	z, err := r.zone()
	if err != nil {
		return nil, err
	}
	return formOfZone(z), nil
}

func (r *request) changeZone() (any, error) {
	z, err := r.zone()
	if err != nil {
		return nil, err
	}
	var body struct {
		Paused *bool   `json:"paused"`
		Type   *string `json:"type"`
	}
	if err := r.read(&body); err != nil {
		return nil, err
	}
	if body.Type != nil && *body.Type != "full" && *body.Type != "partial" {
		return nil, errFilter
	}
	changed, err := r.manager.ChangeZone(z.ID, ZoneChange{Paused: body.Paused, Type: body.Type})
	return formOfZone(&changed), err
}

func (r *request) deleteZone() (any, error) {
	z, err := r.zone()
	if err != nil {
		return nil, err
	}
	return idOnly{z.ID}, r.manager.DeleteZone(z.ID)
}

type idOnly struct {
	ID string `json:"id"`
}

// A dnssecForm is DNSSEC in JSON.
type dnssecForm struct {
	Status          string  `json:"status"`
	Flags           *uint16 `json:"flags"`
	Algorithm       *string `json:"algorithm"`
	KeyType         *string `json:"key_type"`
	DigestType      *string `json:"digest_type"`
	DigestAlgorithm *string `json:"digest_algorithm"`
	Digest          *string `json:"digest"`
	DS              *string `json:"ds"`
	KeyTag          *uint16 `json:"key_tag"`
	PublicKey       *string `json:"public_key"`
}

func formOfDNSSEC(d *DNSSEC) dnssecForm {
	f := dnssecForm{Status: d.Status}
	if d.DS != "" {
		keyType, digestType, digestName := "ECDSAP256SHA256", "2", "SHA256"
		f.Flags, f.Algorithm, f.KeyType, f.DigestType, f.DigestAlgorithm = &d.Flags, &d.Algorithm, &keyType, &digestType, &digestName
		f.Digest, f.DS, f.KeyTag, f.PublicKey = &d.Digest, &d.DS, &d.KeyTag, &d.PublicKey
	}
	return f
}

func (r *request) showDNSSEC() (any, error) {
	z, err := r.zone()
	if err != nil {
		return nil, err
	}
	d, err := r.manager.DNSSEC(z.ID)
	return formOfDNSSEC(&d), err
}

func (r *request) changeDNSSEC() (any, error) {
	z, err := r.zone()
	if err != nil {
		return nil, err
	}
	var body struct {
		Status string `json:"status"`
	}
	if err := r.read(&body); err != nil {
		return nil, err
	}
	if body.Status != "active" && body.Status != "disabled" {
		return nil, errFilter
	}
	d, err := r.manager.SetDNSSEC(z.ID, body.Status == "active")
	return formOfDNSSEC(&d), err
}
