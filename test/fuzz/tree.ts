/**
 * CBOR as it is written, right or wrong: a tree that keeps how each head was written, so that an edit can change one head, one length or one
 * key and leave the rest of the bytes as a decoder expects them. Byte strings that hold CBOR themselves are trees inside the tree.
 */
import { concatBytes } from '../../packages/engine/src/bytes/bytes.ts'

export interface Tree {
  major: number
  /** Bytes of the argument after the initial byte: 0 (in it), 1, 2, 4, 8; -1 for an indefinite length. */
  width: number
  /** The argument: a number, a length, a count, a tag. What is claimed, not what is there. */
  argument: bigint
  /** Of a byte or text string. */
  content: Uint8Array
  /** What `content` holds, in its place. */
  inner: Tree | undefined
  /** Items of an array, keys and values of a map, what a tag is about. */
  children: Tree[]
  /** Whether the argument is no longer the length or the count, but a lie. */
  lies: boolean
}

const none = new Uint8Array(0)

export const leaf = (major: number, argument: bigint, width = narrowest(argument)): Tree => ({
  major,
  width,
  argument,
  content: none,
  inner: undefined,
  children: [],
  lies: false,
})

export const string = (major: 2 | 3, content: Uint8Array): Tree => ({ ...leaf(major, BigInt(content.length)), content })

export const list = (children: Tree[]): Tree => ({ ...leaf(4, BigInt(children.length)), children })

export const narrowest = (argument: bigint): number =>
  argument < 24n ? 0 : argument < 256n ? 1 : argument < 65_536n ? 2 : argument < 4_294_967_296n ? 4 : 8

/** The bytes as a tree; undefined where they are not one item of definite lengths. */
export const parse = (bytes: Uint8Array): Tree | undefined => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  let at = 0
  let left = 4096
  const item = (depth: number): Tree | undefined => {
    const initial = bytes[at++]
    if (initial === undefined || depth > 40 || --left < 0) return undefined
    const major = initial >> 5
    const info = initial & 31
    if (info > 27) return undefined
    const width = info < 24 ? 0 : 1 << (info - 24)
    if (at + width > bytes.length) return undefined
    const argument =
      width === 0
        ? BigInt(info)
        : width === 1
          ? BigInt(view.getUint8(at))
          : width === 2
            ? BigInt(view.getUint16(at))
            : width === 4
              ? BigInt(view.getUint32(at))
              : view.getBigUint64(at)
    at += width
    const tree = leaf(major, argument, width)
    if (major === 2 || major === 3) {
      if (argument > BigInt(bytes.length - at)) return undefined
      tree.content = bytes.subarray(at, at + Number(argument))
      at += Number(argument)
      const first = tree.content[0] ?? 0
      // Only arrays are nested in byte strings: headers, bodies, parts.
      if (major === 2 && first > 0x80 && first < 0x9b) tree.inner = parse(tree.content)
    } else if (major >= 4 && major <= 6) {
      const children = major === 4 ? argument : major === 5 ? 2n * argument : 1n
      for (let index = 0n; index < children; index++) {
        const child = item(depth + 1)
        if (child === undefined) return undefined
        tree.children.push(child)
      }
    }
    return tree
  }
  const tree = item(0)
  return tree !== undefined && at === bytes.length ? tree : undefined
}

const headOf = ({ major, width, argument }: Tree): Uint8Array => {
  if (width === -1) return Uint8Array.of((major << 5) | 31)
  if (width === 0) return Uint8Array.of((major << 5) | Number(argument & 31n))
  const head = new Uint8Array(1 + width)
  head[0] = (major << 5) | (width === 1 ? 24 : width === 2 ? 25 : width === 4 ? 26 : 27)
  for (let at = 0; at < width; at++) head[at + 1] = Number((argument >> BigInt(8 * (width - 1 - at))) & 255n)
  return head
}

/** Makes lengths and counts of what was edited true again, in their shortest form, but for those that are to lie. */
const settle = (tree: Tree, actual: bigint): void => {
  if (tree.lies || tree.width === -1 || tree.argument === actual) return
  tree.argument = actual
  tree.width = narrowest(actual)
}

export const write = (tree: Tree): Uint8Array => {
  if (tree.major === 2 || tree.major === 3) {
    const content = tree.inner === undefined ? tree.content : write(tree.inner)
    settle(tree, BigInt(content.length))
    return tree.width === -1
      ? concatBytes(headOf(tree), headOf(leaf(tree.major, BigInt(content.length))), content, Uint8Array.of(0xff))
      : concatBytes(headOf(tree), content)
  }
  const children = tree.children.map(write)
  if (tree.major === 4) settle(tree, BigInt(children.length))
  if (tree.major === 5) settle(tree, BigInt(children.length >> 1))
  return concatBytes(headOf(tree), ...children, ...(tree.width === -1 ? [Uint8Array.of(0xff)] : []))
}

/** Every tree in the tree, itself first. */
export const all = (tree: Tree): Tree[] => {
  const found = [tree]
  for (let at = 0; at < found.length; at++) {
    const next = found[at]
    if (next?.inner !== undefined) found.push(next.inner)
    for (const child of next?.children ?? []) found.push(child)
  }
  return found
}
