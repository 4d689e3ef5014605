/**
 * How inputs are changed: bytewise, and as CBOR by somebody who knows where decoders go wrong (RFC 8949, section 5 and appendix F, and the
 * attack catalogue: lengths that lie, counts of 2^32, long integers, keys named twice or `__proto__`, broken UTF-8, NaN and -0, tags and
 * bignums, indefinite lengths, depth).
 */
import { concatBytes } from '../../packages/engine/src/bytes/bytes.ts'
import type { Stream } from '../sim/random.ts'
import { all, leaf, list, narrowest, parse, string, type Tree, write } from './tree.ts'

const longest = 4096

const numbers: readonly bigint[] = [
  0n,
  1n,
  16n,
  17n,
  23n,
  24n,
  31n,
  32n,
  255n,
  256n,
  65_535n,
  65_536n,
  2n ** 31n - 1n,
  2n ** 31n,
  2n ** 32n - 1n,
  2n ** 32n,
  2n ** 53n - 1n,
  2n ** 53n,
  2n ** 63n,
  2n ** 64n - 1n,
]

const words: readonly string[] = [
  '__proto__',
  '__proto_',
  'constructor',
  'prototype',
  'toString',
  'hasOwnProperty',
  'length',
  'then',
  '',
  '\u0000',
  '\ufeff',
  `\ufeff${'x'.repeat(80)}`,
  '\u202e\u05d0',
  '\u{1f9f5}',
  'x'.repeat(64),
  'x'.repeat(65),
  'x'.repeat(256),
  'x'.repeat(257),
]

/** Not UTF-8: overlong, half of a pair, beyond the last code point, cut off, a stray end. */
const brokenText: readonly (readonly number[])[] = [
  [0xc0, 0x80],
  [0xe0, 0x80, 0xaf],
  [0xed, 0xa0, 0x80],
  [0xed, 0xbf, 0xbf],
  [0xf0, 0x80, 0x80, 0x80],
  [0xf4, 0x90, 0x80, 0x80],
  [0xf8, 0x88, 0x80, 0x80, 0x80],
  [0xe2, 0x82],
  [0x80],
  [0xff],
]

const floats: readonly number[] = [
  Number.NaN,
  -0,
  0,
  1,
  -1,
  4_294_967_295,
  4_294_967_296,
  -4_294_967_296,
  -4_294_967_297,
  Number.POSITIVE_INFINITY,
  Number.NEGATIVE_INFINITY,
  Number.MAX_SAFE_INTEGER,
  Number.MAX_SAFE_INTEGER + 1,
  Number.MAX_VALUE,
  Number.MIN_VALUE,
  0.5,
  1e21,
]

const encoder = new TextEncoder()

const floatOf = (value: number): Tree => {
  const view = new DataView(new ArrayBuffer(8))
  view.setFloat64(0, value)
  return leaf(7, view.getBigUint64(0), 8)
}

const anyLeaf = (draw: Stream): Tree => {
  switch (draw.int(7)) {
    case 0:
      return leaf(draw.int(2), draw.pick(numbers))
    case 1:
      return string(2, draw.bytes(draw.pick([0, 1, 8, 12, 16, 32, 40, 64, 65])))
    case 2:
      return string(3, encoder.encode(draw.pick(words)))
    case 3:
      return floatOf(draw.pick(floats))
    case 4:
      return leaf(7, BigInt(20 + draw.int(4)), 0)
    case 5:
      return list([])
    default:
      return leaf(5, 0n)
  }
}

/** Edits of one tree in place. */
const edits: readonly ((tree: Tree, draw: Stream) => void)[] = [
  // Another kind, or another head.
  (tree, draw) => {
    tree.major = draw.int(8)
  },
  (tree, draw) => {
    tree.width = draw.pick([0, 1, 2, 4, 8])
    tree.lies = true
  },
  (tree) => {
    tree.width = -1
  },
  (tree, draw) => {
    tree.argument = draw.pick(numbers)
    tree.width = narrowest(tree.argument)
    tree.lies = true
  },
  (tree, draw) => {
    tree.argument += draw.chance(0.5) ? 1n : tree.argument > 0n ? -1n : 2n
    tree.width = narrowest(tree.argument)
    tree.lies = true
  },
  // A tag around it; those with a meaning that decoders act on among them.
  (tree, draw) => {
    const tag = draw.pick([0n, 1n, 2n, 3n, 4n, 24n, 25n, 27n, 28n, 29n, 30n, 64n, 256n, 258n, 55_799n, 57_344n, 105n])
    Object.assign(tree, { ...leaf(6, tag), children: [{ ...tree }] })
  },
  (tree, draw) => {
    Object.assign(tree, { ...leaf(6, 2n), children: [string(2, draw.bytes(draw.pick([0, 8, 64])))] })
  },
  // Another value.
  (tree, draw) => void Object.assign(tree, anyLeaf(draw)),
  (tree, draw) => void Object.assign(tree, floatOf(draw.pick(floats))),
  (tree, draw) => {
    Object.assign(tree, leaf(7, BigInt(draw.int(256)), draw.pick([0, 1, 2, 4])))
  },
  (tree, draw) => {
    if (tree.major <= 1) tree.argument = draw.chance(0.5) ? BigInt(draw.int(300)) : draw.pick(numbers)
    if (tree.major <= 1) tree.width = narrowest(tree.argument)
  },
  // Inside strings.
  (tree, draw) => {
    if (tree.major !== 2 && tree.major !== 3) return
    const cut = draw.int(tree.content.length + 1)
    const middle =
      tree.major === 2
        ? draw.bytes(draw.int(4))
        : draw.chance(0.5)
          ? Uint8Array.from(draw.pick(brokenText))
          : encoder.encode(draw.pick(words))
    tree.content = concatBytes(tree.content.subarray(0, cut), middle, tree.content.subarray(cut))
    tree.inner = undefined
  },
  (tree, draw) => {
    if (tree.content.length === 0) return
    tree.content = tree.content.slice()
    tree.content[draw.int(tree.content.length)] = draw.int(256)
    tree.inner = undefined
  },
  (tree, draw) => {
    if (tree.content.length === 0) return
    tree.content = tree.content.slice(0, draw.int(tree.content.length))
    tree.inner = undefined
  },
  (tree, draw) => {
    if (tree.major === 3) tree.content = encoder.encode(draw.pick(words))
  },
  // Among children.
  (tree, draw) => {
    if (tree.children.length > 0) tree.children.splice(draw.int(tree.children.length), 1)
  },
  (tree, draw) => {
    const { children } = tree
    if (children.length === 0) return
    const copies = draw.pick([1, 1, 1, 2, 16, 17])
    const from = tree.major === 5 ? 2 * draw.int(children.length >> 1 || 1) : draw.int(children.length)
    const copied = children.slice(from, from + (tree.major === 5 ? 2 : 1))
    for (let copy = 0; copy < copies; copy++) children.splice(from, 0, ...copied)
  },
  (tree, draw) => {
    const { children } = tree
    if (children.length < 2) return
    const [one, other] = [draw.int(children.length), draw.int(children.length)]
    const kept = children[one]
    const moved = children[other]
    if (kept === undefined || moved === undefined) return
    children[one] = moved
    children[other] = kept
  },
  (tree, draw) => {
    if (tree.major >= 4 && tree.major <= 5) tree.children.splice(draw.int(tree.children.length + 1), 0, anyLeaf(draw))
  },
  (tree, draw) => {
    if (tree.major === 4 || tree.major === 5)
      tree.children.push(string(3, encoder.encode(draw.pick(words))), anyLeaf(draw))
  },
  // Deeper.
  (tree, draw) => {
    let inside = { ...tree }
    for (let depth = draw.pick([1, 2, 30, 31, 32, 33]); depth > 0; depth--) inside = list([inside])
    Object.assign(tree, inside)
  },
]

/** One to three edits anywhere in the tree; parts of `other` may be put in. Undefined when the bytes are not a tree. */
export const mutateTree = (bytes: Uint8Array, other: Uint8Array, draw: Stream): Uint8Array | undefined => {
  const tree = parse(bytes)
  if (tree === undefined) return undefined
  for (let times = 1 + draw.int(3); times > 0; times--) {
    const target = draw.pick(all(tree))
    if (draw.chance(0.1)) {
      const foreign = parse(other)
      if (foreign !== undefined) Object.assign(target, structuredCopy(draw.pick(all(foreign))))
    } else draw.pick(edits)(target, draw)
    // An edit that makes the tree hold itself, or huge, ends here.
    if (all(tree).length > longest) return undefined
  }
  const written = write(tree)
  return written.length > 8 * longest ? undefined : written
}

const structuredCopy = (tree: Tree): Tree => ({
  ...tree,
  inner: tree.inner && structuredCopy(tree.inner),
  children: tree.children.map(structuredCopy),
})

/** One to four edits of bytes; it knows nothing about them. */
export const mutateBytes = (bytes: Uint8Array, other: Uint8Array, draw: Stream): Uint8Array => {
  let mutated = bytes.slice()
  for (let times = 1 + draw.int(4); times > 0; times--) {
    const at = draw.int(mutated.length + 1)
    switch (draw.int(9)) {
      case 0:
        if (at < mutated.length) mutated[at] = (mutated[at] ?? 0) ^ (1 << draw.int(8))
        break
      case 1:
        if (at < mutated.length) mutated[at] = draw.int(256)
        break
      case 2:
        mutated = concatBytes(mutated.subarray(0, at), draw.bytes(1 + draw.int(4)), mutated.subarray(at))
        break
      case 3:
        mutated = concatBytes(mutated.subarray(0, at), mutated.subarray(at + 1 + draw.int(4)))
        break
      case 4:
        mutated = mutated.slice(0, at)
        break
      case 5: {
        // A part once more, elsewhere.
        const from = draw.int(mutated.length + 1)
        const part = mutated.slice(from, from + 1 + draw.int(32))
        mutated = concatBytes(mutated.subarray(0, at), part, mutated.subarray(at))
        break
      }
      case 6:
        mutated = concatBytes(mutated.subarray(0, at), other.subarray(draw.int(other.length + 1)))
        break
      case 7: {
        const width = draw.pick([1, 2, 4])
        const value = draw.pick([0, 1, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff])
        for (let byte = 0; byte < width && at + byte < mutated.length; byte++)
          mutated[at + byte] = value >>> (8 * (draw.chance(0.5) ? width - 1 - byte : byte))
        break
      }
      default:
        if (at < mutated.length) mutated[at] = (mutated[at] ?? 0) + (draw.chance(0.5) ? 1 : 255)
    }
    if (mutated.length > longest && bytes.length <= longest) mutated = mutated.slice(0, longest)
  }
  return mutated
}
