/** A queue of whole numbers that gives the largest first: walking a graph back in order of admission. */
export class Heap {
  readonly #numbers: number[] = []

  get size(): number {
    return this.#numbers.length
  }

  push(number: number): void {
    const numbers = this.#numbers
    let hole = numbers.length
    numbers.push(number)
    while (hole > 0) {
      const above = (hole - 1) >> 1
      const other = numbers[above] as number
      if (other >= number) break
      numbers[hole] = other
      hole = above
    }
    numbers[hole] = number
  }

  pop(): number | undefined {
    const numbers = this.#numbers
    const top = numbers[0]
    const last = numbers.pop()
    if (last === undefined || numbers.length === 0) return top
    let hole = 0
    for (;;) {
      let below = 2 * hole + 1
      if (below >= numbers.length) break
      if (below + 1 < numbers.length && (numbers[below + 1] as number) > (numbers[below] as number)) below++
      const other = numbers[below] as number
      if (other <= last) break
      numbers[hole] = other
      hole = below
    }
    numbers[hole] = last
    return top
  }
}
