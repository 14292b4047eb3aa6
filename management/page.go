package management

import (
	"net/url"
	"strconv"
)

// A page says which part of a list was given.
type page struct {
	Page       int `json:"page"`
	PerPage    int `json:"per_page"`
	Count      int `json:"count"`
	TotalCount int `json:"total_count"`
	TotalPages int `json:"total_pages"`
}

// A listed is a result that is part of a list.
type listed struct {
	items any
	page  page
}

// paged gives the page that a query asks for. Behind the last one there is an empty one: clients go on until they see it.
func paged[T any](query url.Values, all []T, standard, most int) (any, error) {
	number, err := numberIn(query, "page", 1, 1<<30)
	if err != nil {
		return nil, err
	}
	size, err := numberIn(query, "per_page", standard, most)
	if err != nil {
		return nil, err
	}
	start := min((number-1)*size, len(all))
	items := append([]T{}, all[start:min(start+size, len(all))]...)
	return listed{items, page{
		Page: number, PerPage: size, Count: len(items), TotalCount: len(all), TotalPages: (len(all) + size - 1) / size,
	}}, nil
}

// numberIn is a number from 1 on; more than the most is the most.
func numberIn(query url.Values, name string, standard, most int) (int, error) {
	text := query.Get(name)
	if text == "" {
		return standard, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return 0, errFilter
	}
	return min(n, most), nil
}
