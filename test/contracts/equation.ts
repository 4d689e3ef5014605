/**
 * The equation of ECDSA over P-256 in plain numbers (FIPS 186-5, 6.4.2), and none of the checks around it: what an implementation computes
 * that forgets them. With the checks put back it is a verifier that shares no code with any other; without one of them it is the fault that
 * the vectors of `signatures.ts` must show. Not constant in time, and slow.
 */

/** SEC 2, 2.4.2. */
export const prime = 0xffffffff00000001000000000000000000000000ffffffffffffffffffffffffn
export const order = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n
const b = 0x5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604bn

export type Point = readonly [x: bigint, y: bigint]
const generator: Point = [
  0x6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296n,
  0x4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5n,
]

const modulo = (number: bigint, modulus: bigint): bigint => ((number % modulus) + modulus) % modulus

/** Extended Euclid; 0 for 0. */
const inverse = (number: bigint, modulus: bigint): bigint => {
  let [previous, current, factor, next] = [modulo(number, modulus), modulus, 1n, 0n]
  while (current !== 0n) {
    const quotient = previous / current
    ;[previous, current] = [current, previous - quotient * current]
    ;[factor, next] = [next, factor - quotient * next]
  }
  return modulo(factor, modulus)
}

/** Jacobian coordinates: x / z^2 and y / z^3; z of 0 is the point at infinity. The formulas never look at b, as all fast ones. */
type Jacobian = readonly [x: bigint, y: bigint, z: bigint]
const infinity: Jacobian = [1n, 1n, 0n]

const double = ([x, y, z]: Jacobian): Jacobian => {
  const square = (y * y) % prime
  const fourfold = (4n * x * square) % prime
  const slope = (3n * (x - z * z) * (x + z * z)) % prime
  const doubled = modulo(slope * slope - 2n * fourfold, prime)
  return [doubled, modulo(slope * (fourfold - doubled) - 8n * square * square, prime), modulo(2n * y * z, prime)]
}

const add = (one: Jacobian, other: Jacobian): Jacobian => {
  if (one[2] === 0n) return other
  if (other[2] === 0n) return one
  const [square, otherSquare] = [(one[2] * one[2]) % prime, (other[2] * other[2]) % prime]
  const [left, right] = [(one[0] * otherSquare) % prime, (other[0] * square) % prime]
  const [low, high] = [(one[1] * other[2] * otherSquare) % prime, (other[1] * one[2] * square) % prime]
  const [across, up] = [modulo(right - left, prime), modulo(high - low, prime)]
  if (across === 0n) return up === 0n ? double(one) : infinity
  const acrossSquare = (across * across) % prime
  const [cube, middle] = [(acrossSquare * across) % prime, (left * acrossSquare) % prime]
  const x = modulo(up * up - cube - 2n * middle, prime)
  return [x, modulo(up * (middle - x) - low * cube, prime), (one[2] * other[2] * across) % prime]
}

const multiply = (factor: bigint, [x, y]: Point): Jacobian => {
  const point: Jacobian = [modulo(x, prime), modulo(y, prime), 1n]
  let sum = infinity
  for (let bit = 255n; bit >= 0n; bit--) {
    sum = double(sum)
    if (((factor >> bit) & 1n) === 1n) sum = add(sum, point)
  }
  return sum
}

/** The x of a point; 0 at infinity. */
const affine = ([x, , z]: Jacobian): bigint => (x * inverse(z, prime) ** 2n) % prime

export const isOnCurve = ([x, y]: Point): boolean => modulo(y * y - (x * x * x - 3n * x + b), prime) === 0n

/** Whether the equation holds. `r` and `s` may be out of range, and the point anywhere. */
export const holds = (point: Point, digest: bigint, r: bigint, s: bigint): boolean => {
  const factor = inverse(s, order)
  const sum = add(multiply((digest * factor) % order, generator), multiply(modulo(r * factor, order), point))
  return modulo(affine(sum) - r, order) === 0n
}

/**
 * A signature made without any key that satisfies the equation for points of order 2, on whatever curve they lie, and for the point at
 * infinity: the point's factor is even, so that the point adds nothing. `s` is low.
 */
export const forge = (digest: bigint): { readonly r: bigint; readonly s: bigint } => {
  for (let nonce = 1n; ; nonce++) {
    const r = affine(multiply(nonce, generator)) % order
    const s = (digest * inverse(nonce, order)) % order
    if (s <= order / 2n && ((r * inverse(s, order)) % order) % 2n === 0n) return { r, s }
  }
}
