package config

import (
	"slices"
	"strings"
)

// suggest names the known name that is nearest to a given one, or says nothing when none is near.
func suggest(given string, known []string, unlikeness func(given, name string) int) string {
	best, score := "", 0
	for _, name := range known {
		if d := unlikeness(given, name); best == "" || d < score {
			best, score = name, d
		}
	}
	if score > len(given)+1 { // more than half of the letters differ: see the unlikeness functions
		return ""
	}
	return "; the nearest is " + best
}

// wholeUnlikeness counts two for each edit.
func wholeUnlikeness(given, name string) int { return 2 * editDistance(given, name) }

// keyUnlikeness is for paths of options: the right key in the wrong table counts one.
func keyUnlikeness(given, name string) int {
	return min(wholeUnlikeness(given, name), 2*editDistance(lastPart(given), lastPart(name))+1)
}

func lastPart(path string) string { return path[strings.LastIndexByte(path, '.')+1:] }

// editDistance counts the letters to insert, delete or replace (Levenshtein).
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

func optionPaths() []string {
	paths := make([]string, len(options))
	for i := range options {
		paths[i] = options[i].path()
	}
	return paths
}

func groupNames() []string {
	var names []string
	for i := range groups {
		if !groups[i].isTop() {
			names = append(names, groups[i].name)
		}
	}
	return names
}

// listWords writes words as a choice: "a", "b" or "c".
func listWords(words []string) string {
	quoted := slices.Clone(words)
	for i, w := range quoted {
		quoted[i] = `"` + w + `"`
	}
	last := len(quoted) - 1
	return strings.Join(quoted[:last], ", ") + " or " + quoted[last]
}
