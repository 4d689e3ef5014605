import { type Refusal, refusal } from '../bytes/refusal.ts'

/**
 * Power sums over the field of p = 2^31 - 1 elements: sum j of a set is the sum of weight * key^j. What two sides' sums
 * differ by are the syndromes of a Reed-Solomon code whose errors are the elements that differ: 2m+1 sums of 4 bytes find
 * any m of them, whatever the size of the sets, with their weights and so with direction. Sums go on for ever: more of
 * them, sent later, waste nothing.
 *
 * After Minsky, Trachtenberg and Zippel, "Set reconciliation with nearly optimal communication complexity" (IEEE Trans.
 * Inf. Theory, 2003), in the syndrome form of PinSketch (Dodis, Ostrovsky, Reyzin and Smith, "Fuzzy extractors", 2008),
 * here with weights; Berlekamp and Massey's algorithm (Massey, 1969) and Forney's formula (1965) decode.
 *
 * A stranger's sums cost at most about 256^2 + 127 * keys + 50 * 127^2 multiplications of a few nanoseconds.
 */

/** 2^31 - 1. Keys and weights are 1 to `prime` - 1. */
export const prime = 2_147_483_647

/** Beyond this the vector is cheaper, and decoding work grows with it. */
export const mostSums = 256

/** The most differing elements that so many sums find: one sum at least is left over and checks the others. */
export const mostMoved = (count: number): number => Math.max(0, (count - 1) >> 1)

/** Numbers below `prime`: sums from number 0 on, or the coefficients of a remainder. */
export type Sums = Uint32Array

export interface Element {
  /** Salted: whoever knows it beforehand can make elements that fall together. */
  readonly key: number
  readonly weight: number
}

export interface Located {
  /**
   * Own keys whose weights differ, each once, though two chains may have the same. `weight` is mine - theirs mod p, nearest
   * to zero: all of mine where they lack the key.
   */
  readonly moved: readonly Element[]
  /** Monic polynomial whose roots are the keys that only they have: coefficients, lowest power first, without the last 1. */
  readonly remainder: Sums
}

/** A little more than 1/p, so that a quotient is never too small; it is too large by 1 in one case of 2^18. */
const overPrime = (1 + 2 ** -50) / prime

/**
 * a * b mod p. The quotient comes from floating point: exact to 2^-18 above, and what is left is exact in 32 bits: at least
 * -2^13 and less than p.
 */
const times = (a: number, b: number): number => {
  const left = (Math.imul(a, b) - Math.imul(a * b * overPrime, prime)) | 0
  return left + ((left >> 31) & prime)
}

const minus = (a: number, b: number): number => {
  const left = (a - b) | 0
  return left + ((left >> 31) & prime)
}

const plus = (a: number, b: number): number => minus(a, prime - b)

const power = (of: number, exponent: number): number => {
  let result = 1
  for (let square = of, rest = exponent; rest > 0; rest >>>= 1, square = times(square, square)) {
    if (rest & 1) result = times(result, square)
  }
  return result
}

/** Fermat. */
const inverse = (of: number): number => power(of, prime - 2)

/** Sums are added up unreduced for this many groups of four elements: 2^18 * 4 * 2^31 is exact in floating point. */
const groupsUnreduced = 2 ** 18

/**
 * Sums `from` to `count` - 1 of the elements. Throws on a key or weight that is not 1 to p - 1, which would be no element
 * at all: `weightOf` and the salted keys give none.
 */
export const sumsOf = (elements: Iterable<Element>, count: number, from = 0): Sums => {
  const sums = new Float64Array(Math.max(0, count - from))
  // Four elements at a time: each power waits for the one before it, but not for those of other elements.
  const keys = new Int32Array(4)
  const terms = new Int32Array(4)
  let filled = 0
  let groups = 0
  for (const { key, weight } of elements) {
    if (!isElement(key) || !isElement(weight)) throw new RangeError(`no element: key ${key}, weight ${weight}`)
    keys[filled] = key
    terms[filled] = from === 0 ? weight : times(weight, power(key, from))
    if (++filled < 4) continue
    addPowers(sums, keys, terms)
    filled = 0
    if (++groups % groupsUnreduced === 0) for (let j = 0; j < sums.length; j++) sums[j] = (sums[j] ?? 0) % prime
  }
  if (filled > 0) addPowers(sums, keys, terms.fill(0, filled))
  return Uint32Array.from(sums, (sum) => sum % prime)
}

const isElement = (value: number): boolean => Number.isInteger(value) && value >= 1 && value < prime

const addPowers = (sums: Float64Array, keys: Int32Array, terms: Int32Array): void => {
  const keyA = keys[0] ?? 0
  const keyB = keys[1] ?? 0
  const keyC = keys[2] ?? 0
  const keyD = keys[3] ?? 0
  let a = terms[0] ?? 0
  let b = terms[1] ?? 0
  let c = terms[2] ?? 0
  let d = terms[3] ?? 0
  for (let j = 0; j < sums.length; j++) {
    sums[j] = (sums[j] ?? 0) + (a + b + (c + d))
    a = times(a, keyA)
    b = times(b, keyB)
    c = times(c, keyC)
    d = times(d, keyD)
  }
}

/** The same sums and those that follow, `count` in all, of the same elements. */
export const extendSums = (sums: Sums, elements: Iterable<Element>, count: number): Sums => {
  if (count <= sums.length) return sums.slice(0, count)
  const all = new Uint32Array(count)
  all.set(sums)
  all.set(sumsOf(elements, count, sums.length), sums.length)
  return all
}

/**
 * Weight of an element that is a place `seq` in a chain with 8 salted bits of the id there: never 0. `placeOf` reads it
 * back; from seq 2^23 - 1 on, weights come round again.
 */
export const weightOf = (seq: number, idBits: number): number => ((seq * 256 + idBits) % (prime - 1)) + 1

export const placeOf = (weight: number): { readonly seq: number; readonly idBits: number } => ({
  seq: (weight - 1) >>> 8,
  idBits: (weight - 1) & 255,
})

/** Mine - theirs, as many as both have. */
export const subtractSums = (mine: Sums, theirs: Sums): Sums =>
  mine.slice(0, theirs.length).map((sum, j) => minus(sum, theirs[j] ?? 0))

/** 4 bytes each, big-endian. */
export const encodeSums = (sums: Sums): Uint8Array<ArrayBuffer> => {
  const bytes = new Uint8Array(4 * sums.length)
  const view = new DataView(bytes.buffer)
  for (const [j, sum] of sums.entries()) view.setUint32(4 * j, sum)
  return bytes
}

/** Sums, or with `most` = 127 a remainder. Refuses more than `most`, a broken last one, and numbers from p on. */
export const decodeSums = (bytes: Uint8Array, most = mostSums): Sums | Refusal => {
  if (bytes.length % 4 !== 0) return refusal('Malformed', `sums of ${bytes.length} bytes`)
  if (bytes.length > 4 * most) return refusal('TooLarge', `${bytes.length / 4} sums`)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const sums = new Uint32Array(bytes.length / 4)
  for (let j = 0; j < sums.length; j++) {
    const sum = view.getUint32(4 * j)
    if (sum >= prime) return refusal('Malformed', `a sum of ${sum}`)
    sums[j] = sum
  }
  return sums
}

/**
 * The elements that differ, from the difference of the sums and all of my keys. Undefined where more differ than
 * `mostMoved` of the sums: never a wrong answer, but by a chance of about 2^-31 for each sum beyond twice those found.
 */
export const locate = (difference: Sums, keys: Iterable<number>): Located | undefined => {
  if (difference.length === 0 || difference.length > mostSums) return undefined
  const locator = recurrence(difference)
  const degree = locator.length - 1
  if (degree > mostMoved(difference.length)) return undefined
  const whole = locator.toReversed()
  const { roots, rest } = divideOut(whole, keys)
  if (!hasDistinctRoots(rest)) return undefined

  // Forney: with L(z) = product of (z - key) and W(z) = sum of weight * L(z) / (z - key), weight = W(key) / L'(key).
  const evaluator = new Int32Array(degree)
  for (let i = 0; i < degree; i++) {
    let sum = 0
    for (let j = 0; j <= i; j++) sum = plus(sum, times(locator[j] ?? 0, difference[i - j] ?? 0))
    evaluator[degree - 1 - i] = sum
  }
  const slope = whole.subarray(1).map((coefficient, i) => times(coefficient, i + 1))
  const moved: Element[] = []
  for (const key of roots) {
    const weight = times(valueAt(evaluator, key), inverse(valueAt(slope, key)))
    // Also where the root is a double one: the slope, and then its inverse, is zero.
    if (weight === 0) return undefined
    moved.push({ key, weight: weight > prime >> 1 ? weight - prime : weight })
  }
  return { moved, remainder: Uint32Array.from(rest.subarray(0, -1)) }
}

/**
 * Which of my keys are roots of a remainder, each once. Fewer than its degree: whoever sent it decoded wrongly, or lied. None
 * of a degree that no sums give.
 */
export const rootsAmong = (remainder: Sums, keys: Iterable<number>): number[] => {
  if (remainder.length > mostMoved(mostSums)) return []
  const polynomial = new Int32Array(remainder.length + 1)
  polynomial.set(remainder)
  polynomial[remainder.length] = 1
  return divideOut(polynomial, keys).roots
}

/**
 * The shortest linear recurrence that yields the sums, as 1 and its coefficients: the product of (1 - key * z) over the keys
 * that differ (Berlekamp and Massey).
 */
const recurrence = (sums: Sums): Int32Array => {
  let current = Int32Array.of(1)
  let earlier = Int32Array.of(1)
  let length = 0
  let shift = 1
  let earlierLack = 1
  for (let n = 0; n < sums.length; n++) {
    let lack = 0
    const terms = Math.min(length, current.length - 1)
    for (let i = 0; i <= terms; i++) lack = plus(lack, times(current[i] ?? 0, sums[n - i] ?? 0))
    if (lack === 0) {
      shift++
      continue
    }
    const factor = times(lack, inverse(earlierLack))
    const next = new Int32Array(Math.max(current.length, earlier.length + shift))
    next.set(current)
    for (let i = 0; i < earlier.length; i++)
      next[i + shift] = minus(next[i + shift] ?? 0, times(factor, earlier[i] ?? 0))
    if (2 * length <= n) {
      length = n + 1 - length
      earlier = current
      earlierLack = lack
      shift = 1
    } else shift++
    current = next
  }
  const exact = new Int32Array(length + 1)
  exact.set(current.subarray(0, length + 1))
  return exact
}

/** Value of a polynomial, lowest power first (Horner). */
const valueAt = (polynomial: Int32Array, at: number): number => {
  let value = 0
  for (let i = polynomial.length - 1; i >= 0; i--) value = plus(times(value, at), polynomial[i] ?? 0)
  return value
}

/** Divides (z - key) out of a monic polynomial for every key that is a root. */
const divideOut = (polynomial: Int32Array, keys: Iterable<number>): { roots: number[]; rest: Int32Array } => {
  const roots: number[] = []
  let rest = polynomial
  const tryRoot = (key: number) => {
    const quotient = divided(rest, key)
    if (!quotient) return
    roots.push(key)
    rest = quotient
  }
  let a = 0
  let b = 0
  let c = 0
  let filled = 0
  for (const key of keys) {
    if (rest.length === 1) break
    if (filled < 3) {
      if (filled === 0) a = key
      else if (filled === 1) b = key
      else c = key
      filled++
      continue
    }
    filled = 0
    // Four keys at a time, as in `sumsOf`.
    const tried = rest
    let atA = 1
    let atB = 1
    let atC = 1
    let atD = 1
    for (let i = tried.length - 2; i >= 0; i--) {
      const negated = prime - (tried[i] ?? 0)
      atA = minus(times(atA, a), negated)
      atB = minus(times(atB, b), negated)
      atC = minus(times(atC, c), negated)
      atD = minus(times(atD, key), negated)
    }
    if (atA === 0) tryRoot(a)
    if (atB === 0) tryRoot(b)
    if (atC === 0) tryRoot(c)
    if (atD === 0) tryRoot(key)
  }
  if (filled > 0) tryRoot(a)
  if (filled > 1) tryRoot(b)
  if (filled > 2) tryRoot(c)
  return { roots, rest }
}

/** A monic polynomial divided by (z - key), or undefined where that leaves something over. */
const divided = (polynomial: Int32Array, key: number): Int32Array | undefined => {
  const quotient = new Int32Array(polynomial.length - 1)
  let carry = 0
  for (let i = quotient.length - 1; i >= 0; i--) {
    carry = plus(times(carry, key), polynomial[i + 1] ?? 0)
    quotient[i] = carry
  }
  return plus(times(carry, key), polynomial[0] ?? 0) === 0 ? quotient : undefined
}

/**
 * Whether a monic polynomial is a product of (z - key) over keys that differ and are not zero. That is so just where it
 * divides z^p - z and not z: where squaring z 31 times modulo the polynomial gives z^2 (p + 1 = 2^31).
 */
const hasDistinctRoots = (polynomial: Int32Array): boolean => {
  const degree = polynomial.length - 1
  if (degree === 0) return true
  if (polynomial[0] === 0) return false
  if (degree === 1) return true
  let powerOfZ = new Int32Array(degree)
  powerOfZ[1] = 1
  const square = new Int32Array(2 * degree - 1)
  const reduceSquare = () => {
    square.fill(0)
    for (let i = 0; i < degree; i++) {
      const coefficient = powerOfZ[i] ?? 0
      if (coefficient === 0) continue
      square[2 * i] = plus(square[2 * i] ?? 0, times(coefficient, coefficient))
      const twice = plus(coefficient, coefficient)
      for (let j = i + 1; j < degree; j++) square[i + j] = plus(square[i + j] ?? 0, times(twice, powerOfZ[j] ?? 0))
    }
    for (let top = square.length - 1; top >= degree; top--) {
      const coefficient = square[top] ?? 0
      if (coefficient === 0) continue
      for (let i = 0; i < degree; i++) {
        const at = top - degree + i
        square[at] = minus(square[at] ?? 0, times(coefficient, polynomial[i] ?? 0))
      }
    }
    powerOfZ = square.slice(0, degree)
  }
  reduceSquare()
  const expected = powerOfZ
  for (let i = 1; i < 31; i++) reduceSquare()
  return powerOfZ.every((coefficient, i) => coefficient === expected[i])
}
