package main

import "fmt"

func sum(values []int) int {
	total := 0
	for _, value := range values {
		if value > 0 {
			total += value
		}
	}
	return total
}

func main() {
	fmt.Println(sum([]int{1, 2, 3}))
}
