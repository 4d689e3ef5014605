/**
 * Somebody on the way between two nodes, as a peer that breaks the rules looks from the other side: alters, forges, withholds and
 * replays what an honest peer sent, in frames that are well numbered.
 */

import { isRefusal } from '@weft-db/engine'
import { decode, encode, type Plain } from '../../../packages/engine/src/bytes/cbor.ts'
import { PackTap } from '../packtap.ts'
import type { Stream } from '../random.ts'
import { sha256 } from '../shelf.ts'
import type { Attack, Hostility } from './script.ts'

const isBytes = (plain: Plain | undefined): plain is Uint8Array => plain instanceof Uint8Array
const isArray = (plain: Plain | undefined): plain is readonly Plain[] => Array.isArray(plain)

const loginFrame = 2
const syncFrame = 7
const messages = { entries: 1, push: 5 }

export class Hostile {
  readonly #hostility: Hostility
  readonly #stream: Stream
  /** How far the numbers of the frames are behind those of the honest sender. */
  #shift = 0
  #kept: readonly Plain[] | undefined
  readonly #tap = new PackTap()
  /** Whether it packs nothing, or leaves the packs it does not touch as they are: then the first one it touches is missed by the others. */
  readonly #unpacks: boolean
  active = true

  constructor(hostility: Hostility, stream: Stream) {
    this.#hostility = hostility
    this.#stream = stream
    this.#unpacks = stream.chance(0.5)
  }

  /** What arrives instead of a message on the way between these two. */
  pass(from: string, to: string, message: Uint8Array, end: object): readonly Uint8Array[] {
    const commits = this.#tap.see(end, message)
    if (from !== this.#hostility.from || to !== this.#hostility.to) return [message]
    const sent = decode(message)
    if (isRefusal(sent) || !isArray(sent) || typeof sent[0] !== 'number') return [message]
    // What is attacked goes on unpacked.
    const frame = commits === undefined ? sent : unpacked(sent, commits)
    if (frame[0] === 0) this.#shift = 0
    // What somebody logs in with is the transport's to keep: nothing of ours could tell another account's from it.
    if (frame[1] === loginFrame) return [this.#numbered(frame, frame, false)]
    const acts = this.#stream.chance(this.#hostility.chance)
    const attack = this.#stream.pick(this.#hostility.attacks)
    const place = this.#stream.unit()
    const { active } = this
    const out = (active && acts ? this.#attack(attack, frame, message, place) : [frame]).map((one) =>
      one === frame && !this.#unpacks ? sent : one,
    )
    if (frame[1] === syncFrame && this.#kept === undefined && isPush(frame)) this.#kept = frame
    return out.map((one) => (one instanceof Uint8Array ? one : this.#numbered(one, frame, one !== out[0])))
  }

  #numbered(frame: readonly Plain[], honest: readonly Plain[], added: boolean): Uint8Array {
    if (added) this.#shift++
    return encode([Number(honest[0]) + this.#shift, ...frame.slice(1)])
  }

  #attack(
    attack: Attack,
    frame: readonly Plain[],
    message: Uint8Array,
    place: number,
  ): readonly (readonly Plain[] | Uint8Array)[] {
    if (attack === 'flip') {
      const flipped = message.slice()
      const at = Math.floor(place * flipped.length)
      flipped[at] = (flipped[at] ?? 0) ^ (1 << (at & 7))
      return [flipped]
    }
    if (attack === 'unknown') return [[frame[0] ?? 0, 77, 'what?']]
    if (attack === 'replay') return this.#kept === undefined ? [frame] : [frame, this.#kept]
    const body = frame[3]
    if (frame[1] !== syncFrame || !isArray(body)) return [frame]
    const with3 = (changed: readonly Plain[]): readonly Plain[] => [frame[0] ?? 0, syncFrame, frame[2] ?? 0, changed]
    if (attack === 'entry') {
      const entries = body[2]
      if (body[0] !== messages.entries || !isArray(entries)) return [frame]
      return [with3([body[0], body[1] ?? 0, entries.map((entry) => (isBytes(entry) ? forgedEntry(entry) : entry))])]
    }
    const commits = body[4]
    if (body[0] !== messages.push || !isArray(commits) || commits.length === 0) return [frame]
    const index = Math.floor(place * commits.length)
    const others = (made: (bytes: Uint8Array) => Uint8Array | undefined): readonly Plain[] =>
      commits.flatMap((one, at): Plain[] => {
        if (at !== index || !isBytes(one)) return [one]
        const changed = made(one)
        return changed === undefined ? [] : [changed]
      })
    if (attack === 'starve') return [with3([...body.slice(0, 4), [], ...body.slice(5)])]
    const changed = others(hands[attack] ?? (() => undefined))
    return [with3([...body.slice(0, 4), changed, ...body.slice(5)])]
  }
}

const unpacked = (frame: readonly Plain[], commits: readonly Uint8Array[]): readonly Plain[] => {
  const body = frame[3]
  if (!isArray(body)) return frame
  return [...frame.slice(0, 3), [messages.push, ...body.slice(1, 4), commits, ...body.slice(5)]]
}

const isPush = (frame: readonly Plain[]): boolean => {
  const body = frame[3]
  return isArray(body) && body[0] === messages.push && isArray(body[4]) && body[4].length > 0
}

interface Parts {
  readonly header: readonly Plain[]
  readonly signature: Plain
  readonly changes: readonly (readonly Plain[])[]
}

const partsOf = (bytes: Uint8Array): Parts | undefined => {
  const commit = decode(bytes)
  if (isRefusal(commit) || !isArray(commit) || !isBytes(commit[0]) || !isArray(commit[2])) return undefined
  const header = decode(commit[0])
  if (isRefusal(header) || !isArray(header)) return undefined
  return { header, signature: commit[1] ?? null, changes: commit[2].filter(isArray) }
}

/** The first change with another salt: still canonical, and of another hash. */
const salted = (changes: Parts['changes']): readonly (readonly Plain[])[] => {
  const [first, ...rest] = changes
  const content = first?.[2]
  if (first === undefined || !isBytes(content)) return changes
  const plain = decode(content)
  if (isRefusal(plain) || !isArray(plain) || !isBytes(plain[0])) return changes
  const salt = plain[0].slice()
  salt[0] = (salt[0] ?? 0) ^ 1
  return [[first[0] ?? null, first[1] ?? null, encode([salt, ...plain.slice(1)])], ...rest]
}

/** The header stays, the content is another one. */
const altered = (bytes: Uint8Array): Uint8Array => {
  const parts = partsOf(bytes)
  if (parts === undefined) return bytes
  return encode([encode(parts.header), parts.signature, salted(parts.changes)])
}

/** Content and header fit each other; nobody signed them. */
const forged = (bytes: Uint8Array): Uint8Array => {
  const parts = partsOf(bytes)
  if (parts === undefined) return bytes
  const changes = salted(parts.changes)
  const hashes = changes.map((change) =>
    sha256(Buffer.concat(change.map((part) => (isBytes(part) ? sha256(part) : new Uint8Array(0))))),
  )
  const header = parts.header.map((field, index) => (index === 10 ? hashes : field))
  return encode([encode(header), parts.signature, changes])
}

/** Nobody vouches for it, and for none before it in its run. */
const unsigned = (bytes: Uint8Array): Uint8Array => {
  const commit = decode(bytes)
  return isRefusal(commit) || !isArray(commit)
    ? bytes
    : encode([commit[0] ?? null, new Uint8Array(0), commit[2] ?? null])
}

/** What is put in the place of one commit; nothing, where it is withheld. */
const hands: { readonly [Name in Attack]?: (bytes: Uint8Array) => Uint8Array } = {
  alter: altered,
  forge: forged,
  strip: unsigned,
}

/** Another time in it; nobody signed that. */
const forgedEntry = (bytes: Uint8Array): Uint8Array => {
  const signed = decode(bytes)
  if (isRefusal(signed) || !isArray(signed) || !isBytes(signed[0])) return bytes
  const body = decode(signed[0])
  if (isRefusal(body) || !isArray(body)) return bytes
  const changed = body.map((field, index) => (index === 7 ? Number(field) + 1 : field))
  return encode([encode(changed), signed[1] ?? null])
}
