import { describe, expect, test } from 'vitest'
import { concatBytes, toHex } from '../bytes/bytes.ts'
import { isRefusal } from '../bytes/refusal.ts'
import {
  decodeSums,
  type Element,
  encodeSums,
  extendSums,
  locate,
  mostMoved,
  mostSums,
  placeOf,
  prime,
  rootsAmong,
  subtractSums,
  sumsOf,
  weightOf,
} from './sums.ts'

/** mulberry32: below the limit. */
const randomFrom = (seed: number) => (limit: number) => {
  seed = (seed + 0x6d2b79f5) | 0
  let mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed)
  mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)
  return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296) * limit)
}
type Random = ReturnType<typeof randomFrom>

const anyElement = (random: Random): number => random(prime - 1) + 1

/** So many different keys. */
const anyKeys = (random: Random, count: number): number[] => {
  const keys = new Set<number>()
  while (keys.size < count) keys.add(anyElement(random))
  return [...keys]
}

/** Product of (z - key), lowest power first, by whole numbers. */
const productOf = (keys: readonly number[]): bigint[] => {
  const p = BigInt(prime)
  let product = [1n]
  for (const key of keys) {
    product = [0n, ...product].map((shifted, i) => (((shifted - (product[i] ?? 0n) * BigInt(key)) % p) + p) % p)
  }
  return product
}

interface Case {
  readonly mine: Element[]
  readonly theirs: Element[]
  readonly changed: Element[]
  readonly onlyMine: Element[]
  readonly onlyTheirs: Element[]
}

/** Two sets that share `shared` elements and differ by `moved`, of all three kinds. */
const differBy = (random: Random, moved: number, shared: number): Case => {
  const keys = anyKeys(random, moved + shared)
  const kinds = 1 + random(7)
  const one: Case = { mine: [], theirs: [], changed: [], onlyMine: [], onlyTheirs: [] }
  for (const [i, key] of keys.entries()) {
    const weight = random(4) === 0 ? anyElement(random) : weightOf(random(1_000), random(256))
    if (i >= moved) {
      one.mine.push({ key, weight })
      one.theirs.push({ key, weight })
      continue
    }
    let kind = random(3)
    while ((kinds & (1 << kind)) === 0) kind = (kind + 1) % 3
    if (kind === 0) {
      let other = anyElement(random)
      while (other === weight) other = anyElement(random)
      one.mine.push({ key, weight })
      one.theirs.push({ key, weight: other })
      one.changed.push({ key, weight: weight - other })
    } else if (kind === 1) {
      one.mine.push({ key, weight })
      one.onlyMine.push({ key, weight })
    } else {
      one.theirs.push({ key, weight })
      one.onlyTheirs.push({ key, weight })
    }
  }
  const byOrder = (a: Element, b: Element) => ((a.key * 7919) % 1_000_003) - ((b.key * 7919) % 1_000_003)
  one.mine.sort(byOrder)
  one.theirs.sort(byOrder)
  return one
}

const nearZero = (weight: number): number => {
  const least = ((weight % prime) + prime) % prime
  return least > (prime - 1) / 2 ? least - prime : least
}
const keysOf = (elements: readonly Element[]) => elements.map(({ key }) => key)
const ascending = (numbers: Iterable<number>) => [...numbers].sort((a, b) => a - b)
const byKey = (elements: readonly Element[]) => elements.map(({ key, weight }) => `${key} ${nearZero(weight)}`).sort()

const differenceOf = ({ mine, theirs }: Case, count: number) => subtractSums(sumsOf(mine, count), sumsOf(theirs, count))

test('sums are what whole numbers give, at the edges of the field too', () => {
  const p = BigInt(prime)
  for (let seed = 0; seed < 300; seed++) {
    const random = randomFrom(seed)
    const edge = () => [1, 2, prime - 1, prime - 2, 2 ** 16, 2 ** 30, anyElement(random)][random(7)] ?? 1
    const elements = Array.from({ length: random(12) }, () => ({ key: edge(), weight: edge() }))
    const expected = Array.from({ length: 40 }, (_, j) =>
      Number(elements.reduce((sum, { key, weight }) => sum + BigInt(weight) * BigInt(key) ** BigInt(j), 0n) % p),
    )
    expect([...sumsOf(elements, 40)], `seed ${seed}`).toEqual(expected)
    const from = random(41)
    expect([...sumsOf(elements, 40, from)], `seed ${seed}`).toEqual(expected.slice(from))
    expect([...extendSums(sumsOf(elements, from), elements, 40)], `seed ${seed}`).toEqual(expected)
  }
  expect([...extendSums(Uint32Array.of(1, 2, 3), [], 2)]).toEqual([1, 2])
})

test('products next to a multiple of p are exact', () => {
  const p = BigInt(prime)
  const inverse = (of: number) => {
    let result = 1n
    for (let square = BigInt(of), rest = prime - 2; rest > 0; rest >>>= 1, square = (square * square) % p) {
      if (rest & 1) result = (result * square) % p
    }
    return result
  }
  const random = randomFrom(3)
  for (let i = 0; i < 3_000; i++) {
    const key = anyElement(random)
    for (const product of [1, 2, 1 + random(5_000), prime - 1, prime - 1 - random(20_000)]) {
      const weight = Number((inverse(key) * BigInt(product)) % p)
      if (sumsOf([{ key, weight }], 2)[1] !== product) expect.fail(`${key} * ${weight} is ${product}`)
    }
  }
})

test('sums of five million elements are still exact', () => {
  const count = 5_000_000
  const element = { key: 1, weight: prime - 1 }
  const odd = { key: 1, weight: prime - 2 }
  const many = function* () {
    for (let i = 0; i < count; i++) yield i % 4 === 0 ? odd : element
  }
  expect([...sumsOf(many(), 1)]).toEqual([prime - (count + count / 4)])
})

test('what is no element is a mistake of the caller', () => {
  for (const wrong of [0, prime, -1, 1.5, Number.NaN, 2 ** 32 + 1]) {
    expect(() => sumsOf([{ key: wrong, weight: 1 }], 3)).toThrow(RangeError)
    expect(() => sumsOf([{ key: 1, weight: wrong }], 3)).toThrow(RangeError)
  }
})

test('a weight is never zero, and tells the place', () => {
  expect(weightOf(0, 0)).toBe(1)
  for (const seq of [0, 1, 255, 256, 65_535, 2 ** 23 - 2]) {
    for (const idBits of [0, 1, 128, 255]) expect(placeOf(weightOf(seq, idBits))).toEqual({ seq, idBits })
  }
  const random = randomFrom(1)
  for (const seq of [2 ** 23 - 1, 2 ** 23, 2 ** 32 - 1, ...Array.from({ length: 1_000 }, () => random(2 ** 32))]) {
    for (let idBits = 0; idBits < 256; idBits++) {
      const weight = weightOf(seq, idBits)
      if (!(weight >= 1 && weight < prime)) expect.fail(`seq ${seq}, bits ${idBits}: ${weight}`)
    }
  }
})

describe('locate', () => {
  const check = (one: Case, count: number, label: string) => {
    const difference = differenceOf(one, count)
    const mine = locate(difference, keysOf(one.mine))
    if (!mine) return expect.fail(`${label}: not found`)
    expect(byKey(mine.moved), label).toEqual(byKey([...one.changed, ...one.onlyMine]))
    for (const { weight } of mine.moved) expect(Math.abs(weight), label).toBeLessThanOrEqual((prime - 1) / 2)
    expect(mine.remainder.length, label).toBe(one.onlyTheirs.length)
    expect(ascending(rootsAmong(mine.remainder, keysOf(one.theirs))), label).toEqual(ascending(keysOf(one.onlyTheirs)))
    expect([...mine.remainder].map(BigInt), label).toEqual(productOf(keysOf(one.onlyTheirs)).slice(0, -1))

    const theirs = locate(subtractSums(sumsOf(one.theirs, count), sumsOf(one.mine, count)), keysOf(one.theirs))
    if (!theirs) return expect.fail(`${label}: not found from the other side`)
    const opposite = one.changed.map(({ key, weight }) => ({ key, weight: -weight }))
    expect(byKey(theirs.moved), label).toEqual(byKey([...opposite, ...one.onlyTheirs]))
    expect(ascending(rootsAmong(theirs.remainder, keysOf(one.mine))), label).toEqual(ascending(keysOf(one.onlyMine)))
  }

  test('2m + 1 sums find any m elements, in both directions, with keys that only one side has', () => {
    for (let moved = 0; moved <= 12; moved++) {
      for (let seed = 0; seed < 200; seed++) {
        const random = randomFrom(1_000 * moved + seed)
        check(differBy(random, moved, random(40)), 2 * moved + 1, `seed ${seed}, ${moved} moved`)
      }
    }
    for (let moved = 13; moved <= 127; moved++) {
      const random = randomFrom(moved)
      check(differBy(random, moved, random(200)), 2 * moved + 1 + random(2), `${moved} moved`)
    }
  })

  test('more sums than needed find the same', () => {
    for (let seed = 0; seed < 500; seed++) {
      const random = randomFrom(seed)
      const moved = random(20)
      check(differBy(random, moved, random(40)), 2 * moved + 1 + random(60), `seed ${seed}, ${moved} moved`)
    }
  })

  test('one too many, or one sum too few, is told and never guessed at', () => {
    for (let seed = 0; seed < 4_000; seed++) {
      const random = randomFrom(seed)
      const moved = 1 + random(seed < 3_900 ? 10 : 127)
      const one = differBy(random, moved, random(20))
      for (const count of new Set([2 * moved, 2 * moved - 1, 1 + random(2 * moved)])) {
        const keys = keysOf(one.mine)
        if (locate(differenceOf(one, count), keys)) expect.fail(`seed ${seed}: ${count} sums for ${moved}`)
      }
    }
  })

  test('an own key that stands there twice is found once', () => {
    const shared = [11, 12, 13].map((key) => ({ key, weight: 5 }))
    const difference = subtractSums(sumsOf([...shared, { key: 99, weight: 7 }], 7), sumsOf(shared, 7))
    expect(locate(difference, [99, 99, 11, 99, 12, 13, 99])).toEqual({
      moved: [{ key: 99, weight: 7 }],
      remainder: new Uint32Array(0),
    })
    expect(rootsAmong(Uint32Array.of(prime - 99), [99, 1, 99, 99])).toEqual([99])
  })

  test('no difference is no element; no sums tell nothing; more than the most are not looked at', () => {
    expect(locate(new Uint32Array(1), [1, 2])).toEqual({ moved: [], remainder: new Uint32Array(0) })
    expect(locate(new Uint32Array(mostSums), [1, 2])).toEqual({ moved: [], remainder: new Uint32Array(0) })
    expect(locate(new Uint32Array(0), [1, 2])).toBeUndefined()
    expect(locate(new Uint32Array(mostSums + 1), [1, 2])).toBeUndefined()
    expect([0, 1, 2, 3, 6, 7, 32, 256].map(mostMoved)).toEqual([0, 0, 0, 1, 2, 3, 15, 127])
  })
})

describe("a stranger's sums", () => {
  /** The sums that this recurrence goes on to give: next = sum of coefficients * those before. */
  const following = (first: readonly number[], coefficients: readonly bigint[], count: number): Uint32Array => {
    const sums = first.map(BigInt)
    const p = BigInt(prime)
    while (sums.length < count) {
      const next = coefficients.reduce((sum, factor, i) => sum + factor * (sums[sums.length - 1 - i] ?? 0n), 0n)
      sums.push(((next % p) + p) % p)
    }
    return Uint32Array.from(sums, Number)
  }
  const keys = anyKeys(randomFrom(5), 500)
  const [own = 1, other = 2] = keys

  test('a key that counts twice is refused, mine or not', () => {
    for (const key of [own, 123_456_789]) {
      // j * key^j: (1 - key * z)^2.
      const square = [2n * BigInt(key), -BigInt(key) * BigInt(key)]
      const twice = following([0, key], square, 9)
      expect(locate(twice, keys)).toBeUndefined()
      const among = twice.map((sum, j) => (sum + (sumsOf([{ key: other, weight: 3 }], 9)[j] ?? 0)) % prime)
      expect(locate(among, keys)).toBeUndefined()
    }
  })

  test('a key of zero is refused', () => {
    expect(locate(Uint32Array.of(5, 0, 0, 0, 0), keys)).toBeUndefined()
    const sums = sumsOf([{ key: other, weight: 3 }], 9)
    sums[0] = 77
    expect(locate(sums, keys)).toBeUndefined()
  })

  test('a remainder whose roots are in no field of this size is refused', () => {
    // p = 3 mod 4: -1 is no square, and z^2 + 1 has no roots.
    expect(locate(following([3, 4], [0n, -1n], 9), keys)).toBeUndefined()
    let refused = 0
    for (let seed = 0; seed < 300; seed++) {
      const random = randomFrom(seed)
      const degree = 2 + random(6)
      const first = Array.from({ length: degree }, () => anyElement(random))
      const coefficients = first.map(() => BigInt(anyElement(random)))
      if (!locate(following(first, coefficients, 2 * degree + 1), keys)) refused++
    }
    // All but 1 of degree! have roots that are no keys; of degree 2 to 7 together that is 1 in 8.
    expect(refused).toBeGreaterThan(240)
    expect(refused).toBeLessThan(290)
  })

  test('any sums at all are decoded or refused in bounded time', () => {
    for (let seed = 0; seed < 1_500; seed++) {
      const random = randomFrom(seed)
      const few = [2, 3, 100, prime][random(4)] ?? 2
      const sums = Uint32Array.from({ length: random(seed % 50 === 0 ? mostSums + 1 : 40) }, () => random(few))
      const located = locate(sums, keys)
      if (!located) continue
      // Whatever was found explains every one of the sums, if nothing else remains.
      if (located.remainder.length > 0) continue
      const explained = sumsOf(
        located.moved.map(({ key, weight }) => ({ key, weight: (weight + prime) % prime })),
        sums.length,
      )
      expect([...explained], `seed ${seed}`).toEqual([...sums])
    }
  })

  test('any remainder has at most as many roots as its degree, and none beyond what sums can tell', () => {
    for (let seed = 0; seed < 500; seed++) {
      const random = randomFrom(seed)
      const remainder = Uint32Array.from({ length: random(128) }, () => random(prime))
      expect(rootsAmong(remainder, keys).length, `seed ${seed}`).toBeLessThanOrEqual(remainder.length)
    }
    expect(rootsAmong(new Uint32Array(5), keys)).toEqual([])
    const most = Uint32Array.from(productOf(keys.slice(0, 127)).slice(0, -1), Number)
    expect(ascending(rootsAmong(most, keys))).toEqual(ascending(keys.slice(0, 127)))
    const more = Uint32Array.from(productOf(keys.slice(0, 128)).slice(0, -1), Number)
    expect(rootsAmong(more, keys)).toEqual([])
  })
})

describe('bytes of sums', () => {
  test('are 4 each, big-endian, and are read back', () => {
    expect(toHex(encodeSums(Uint32Array.of(0, 1, 0x12345678, prime - 1)))).toBe('0000000000000001123456787ffffffe')
    const sums = sumsOf([{ key: 77, weight: 5 }], mostSums)
    // From the middle of a message.
    const bytes = concatBytes(Uint8Array.of(9), encodeSums(sums)).subarray(1)
    expect(decodeSums(bytes)).toEqual(sums)
    expect(decodeSums(new Uint8Array(0))).toEqual(new Uint32Array(0))
  })

  test('are refused where they are no numbers of the field, broken, or too many', () => {
    const whole = encodeSums(Uint32Array.of(1, 2, 3))
    for (const bad of ['7fffffff', '80000000', 'ffffffff']) {
      const bytes = whole.slice()
      bytes.set(
        Uint8Array.from([0, 2, 4, 6], (at) => Number.parseInt(bad.slice(at, at + 2), 16)),
        4,
      )
      expect(decodeSums(bytes), bad).toMatchObject({ code: 'Malformed' })
    }
    for (const cut of [1, 2, 3, 5, 11]) expect(decodeSums(whole.subarray(0, cut))).toMatchObject({ code: 'Malformed' })
    expect(decodeSums(new Uint8Array(4 * mostSums + 4))).toMatchObject({ code: 'TooLarge' })
    expect(decodeSums(whole, 2)).toMatchObject({ code: 'TooLarge' })
    expect(isRefusal(decodeSums(whole, 3))).toBe(false)
  })

  test('are compared as far as both go', () => {
    expect([...subtractSums(Uint32Array.of(1, 5, 9), Uint32Array.of(2, 5))]).toEqual([prime - 1, 0])
    expect([...subtractSums(Uint32Array.of(1), Uint32Array.of(0, 7, 8))]).toEqual([1])
  })
})
