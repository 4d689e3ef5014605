/** A commit changed as its author could change it: any part another, all hashes fitting, signed anew. No limit of `composeCommit` applies. */
import { concatBytes, toHex } from '../../packages/engine/src/bytes/bytes.ts'
import { decode, encode, type Plain } from '../../packages/engine/src/bytes/cbor.ts'
import { isRefusal } from '../../packages/engine/src/bytes/refusal.ts'
import { type Commit, signedBytes } from '../../packages/engine/src/commit/commit.ts'
import { hash, type Person } from './target.ts'

type Fields = readonly Plain[]

export interface Edit {
  readonly header?: (fields: Fields) => Fields
  /** Of the first change. */
  readonly identity?: (fields: Fields) => Fields
  /** Stands for the changes as they are in the end. */
  readonly changes?: (changes: readonly (readonly Uint8Array[])[]) => readonly (readonly Uint8Array[])[]
}

export const listOf = (bytes: Uint8Array): Fields => {
  const plain = decode(bytes)
  if (isRefusal(plain) || !Array.isArray(plain)) throw new Error('not a list')
  return plain as Fields
}

/** The commit's bytes and the id they have. */
export const rewritten = async (
  commit: Commit,
  { key }: Pick<Person, 'key'>,
  edit: Edit,
): Promise<{ readonly bytes: Uint8Array; readonly id: string }> => {
  const [head, , parts] = listOf(commit.bytes) as [Uint8Array, Uint8Array, Uint8Array[][]]
  let changes: readonly (readonly Uint8Array[])[] = parts
  if (edit.identity !== undefined) {
    const [first, ...rest] = changes
    if (first?.[0] === undefined) throw new Error('a commit without changes')
    changes = [[encode([...edit.identity(listOf(first[0]))]), ...first.slice(1)], ...rest]
  }
  if (edit.changes !== undefined) changes = edit.changes(changes)
  const fields = listOf(head).with(
    10,
    changes.map((change) => hash(concatBytes(...change.map((part) => hash(part))))),
  )
  const header = encode([...(edit.header?.(fields) ?? fields)])
  const id = toHex(hash(header))
  return { bytes: encode([header, await key.sign(signedBytes(id)), changes.map((change) => [...change])]), id }
}
