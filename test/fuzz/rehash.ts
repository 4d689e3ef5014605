/** A commit whose parts somebody changed, with the hashes in its header made right again: the inside of a commit is reached no other way. */
import { concatBytes } from '../../packages/engine/src/bytes/bytes.ts'
import { hash } from './samples.ts'
import { parse, string, type Tree, write } from './tree.ts'

const contentOf = (part: Tree | undefined): Uint8Array => {
  if (part === undefined) return new Uint8Array(0)
  return part.inner === undefined ? part.content : write(part.inner)
}

export const changeHash = (identity: Uint8Array, operations: Uint8Array, contentHash: Uint8Array): Uint8Array =>
  hash(concatBytes(hash(identity), hash(operations), contentHash))

export const rehash = (bytes: Uint8Array): Uint8Array => {
  const tree = parse(bytes)
  const [header, , changes] = tree?.children ?? []
  const hashes = header?.inner?.children[10]
  if (tree === undefined || hashes === undefined || changes === undefined) return bytes
  hashes.children = changes.children.map(({ children: [identity, operations, content] }) => {
    const erased = content?.major === 4 ? content.children[0]?.content : undefined
    return string(2, changeHash(contentOf(identity), contentOf(operations), erased ?? hash(contentOf(content))))
  })
  return write(tree)
}
