/** Reads the logs of a store in plain JavaScript, by what docs/storage-format.md and sections 1, 2 and 6 of docs/wire-format.md say. */
import { createHash } from 'node:crypto'
import { inflateRawSync } from 'node:zlib'
import { Encoder } from 'cbor-x'

const cbor = new Encoder({ useRecords: false, variableMapSize: true, tagUint8Array: false })
const encode = (value) => Buffer.from(cbor.encode(value))
const sha256 = (...parts) => createHash('sha256').update(Buffer.concat(parts)).digest()
const fail = (why) => {
  throw new Error(why)
}

const table = Array.from({ length: 256 }, (_, byte) => {
  let sum = byte
  for (let bit = 0; bit < 8; bit++) sum = sum & 1 ? (sum >>> 1) ^ 0x82f63b78 : sum >>> 1
  return sum >>> 0
})
export const crc32c = (...parts) => {
  let sum = 0xffffffff
  for (const part of parts) for (const byte of part) sum = (sum >>> 8) ^ table[(sum ^ byte) & 255]
  return (sum ^ 0xffffffff) >>> 0
}

/** Section 2: the frames of a log, what is damaged between them, and where the last whole one ends. */
export const readFrames = (log) => {
  const mark = Buffer.from('f7e5e6f4', 'hex')
  const [frames, damage] = [[], []]
  let end = 0
  for (let at = log.indexOf(mark); at >= 0; ) {
    const frame = frameAt(log, at)
    if (frame !== undefined) {
      if (at > end) damage.push([end, at])
      frames.push({ ...frame, afterDamage: at > end })
      end = frame.end
    }
    at = log.indexOf(mark, frame?.end ?? at + 1)
  }
  return { frames, damage, end }
}

const frameAt = (log, at) => {
  if (at + 13 > log.length) return undefined
  const end = at + 13 + log.readUInt32LE(at + 4)
  if (end > log.length || log[at + 12] > 127) return undefined
  const sum = crc32c(log.subarray(at + 4, at + 8), log.subarray(at + 12, end))
  if (log.readUInt32LE(at + 8) !== (sum === 0xf4e6e5f7 ? sum - 1 : sum)) return undefined
  const payload = []
  for (let place = at + 13; place < end; place++) {
    payload.push(log[place])
    const stuffed = log[place - 2] === 0xf7 && log[place - 1] === 0xe5 && log[place] === 0xe6 && place >= at + 15
    if (stuffed && log[++place] !== 0) return undefined
  }
  return { kind: log[at + 12], payload: Buffer.from(payload), end }
}

class Cursor {
  constructor(bytes) {
    this.bytes = bytes
    this.at = 0
  }
  take = (length) => {
    if (this.at + length > this.bytes.length) fail('too short')
    this.at += length
    return this.bytes.subarray(this.at - length, this.at)
  }
  byte = () => this.take(1)[0]
  varint = () => {
    let value = 0
    for (let factor = 1; ; factor *= 128) {
      const byte = this.byte()
      value += (byte & 127) * factor
      if (byte < 128) return value
    }
  }
  signed = () => {
    const value = this.varint()
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2
  }
  text = () => this.take(this.varint()).toString()
  /** One CBOR item as it stands. */
  value = () => {
    const from = this.at
    this.skip()
    return this.bytes.subarray(from, this.at)
  }
  skip = () => {
    const head = this.byte()
    const [major, low] = [head >> 5, head & 31]
    const more = low < 24 ? low : this.take(1 << (low - 24)).readUIntBE(0, Math.min(6, 1 << (low - 24)))
    if (major === 2 || major === 3) this.take(more)
    for (let count = major === 4 ? more : major === 5 ? 2 * more : 0; count > 0; count--) this.skip()
  }
}

/** Age 1 is what was added last. */
class Table extends Array {
  age = (age) => this[this.length - age] ?? fail('an age of nothing')
  add = (entry, most) => {
    this.push(entry)
    if (this.length > most) this.shift()
    return entry
  }
}
const heads = (count) => (count < 24 ? [0x80 + count] : count < 256 ? [0x98, count] : [0x99, count >> 8, count & 255])

/** Section 6 of the wire format: a stream of packs. */
class Packs {
  constructor(network, path) {
    Object.assign(this, { network, path, ids: new Table(), items: new Table(), chains: new Table(), check: 0 })
    Object.assign(this, { sessions: new Table(), positions: new Table(), schemas: new Table(), fields: new Table() })
    Object.assign(this, { patterns: new Table(), ms: 0 })
  }

  /** `[id, whether it is signed]` of each commit. */
  read(bytes) {
    const from = new Cursor(bytes)
    const found = []
    while (from.at < bytes.length - 2) {
      const one = this.commit(from)
      this.ids.add(one[0], 4096)
      this.check = (this.check * 0x6487 + one[0].readUInt16BE(0)) % 65536
      found.push(one)
    }
    if (from.take(2).readUInt16BE(0) !== this.check) fail('another commit than was written')
    return found
  }

  commit(from) {
    const lead = from.byte()
    const second = lead & 128 ? from.byte() : 0
    if (second === 1) return signedId(from.take(from.varint()))
    if (lead & 1) this.chain = this.readChain(from)
    const { chain } = this
    const seq = lead & 2 ? from.varint() : chain.seq + 1
    const prev = lead & 2 ? (seq === 0 ? null : this.id(from)) : chain.last
    this.ms += from.signed()
    const clock = this.ms * 256 + (lead & 64 ? from.byte() : 0)
    if (lead & 4) this.policy = [this.position(from, from.varint()), this.authority(from)]
    const ext = second === 2 ? from.take(from.varint()) : Buffer.from([0xa0])
    if (!(lead & 8)) from.take(64)
    const changes = Array.from({ length: lead & 32 ? from.varint() + 2 : 1 }, () => this.change(from))
    const start = [1, this.network, this.path, chain.session, chain.incarnation, seq, prev, clock, this.policy]
    const header = [...start, lead & 16 ? 1 : 0, changes.map(({ hash }) => hash)]
    const id = sha256(Buffer.from([0x8c]), ...header.map(encode), ext)
    for (const { item } of changes) item.last = id
    Object.assign(chain, { last: id, seq })
    return [id, !(lead & 8)]
  }

  readChain(from) {
    const age = from.varint()
    if (age > 0) return this.chains.age(age)
    const old = from.varint()
    const session = old > 0 ? this.sessions.age(old) : this.sessions.add(from.take(32), 1024)
    return this.chains.add({ session, incarnation: from.take(8) }, 1024)
  }
  id(from) {
    const age = from.varint()
    return age > 0 ? this.ids.age(age) : from.take(32)
  }
  position(from, age) {
    return age > 0 ? this.positions.age(age) : this.positions.add([from.varint(), from.varint(), from.take(32)], 256)
  }
  authority(from) {
    const code = from.varint()
    return code === 0 ? null : this.position(from, code - 1)
  }
  field(from, age = from.varint()) {
    return age > 0 ? this.fields.age(age) : this.fields.add(from.text(), 256)
  }

  change(from) {
    const shape = from.byte()
    const [isErased, form] = [(shape & 32) !== 0, shape >> 6]
    if (shape & 3) this.item = shape & 2 ? this.newItem(from, shape & 1) : this.items.age(from.varint())
    const { item } = this
    const linked = (shape >> 2) & 3
    const count = linked === 3 ? from.varint() : linked === 2 ? 1 : 0
    const parents = linked === 1 ? [item.last] : Array.from({ length: count }, () => this.id(from))
    if (shape & 16) item.schema = this.readSchema(from)
    this.schema = item.schema ??= this.schema
    const seal = isErased ? from.take(32) : form === 3 ? undefined : from.take(12)
    const values = []
    const operations = this.operations(from, form, isErased, values)
    const whole = form === 3 && !isErased ? from.take(from.varint()) : undefined
    const content =
      whole ?? Buffer.concat([Buffer.from([0x82]), encode(seal), Buffer.from(heads(values.length)), ...values])
    const identity = encode([item.key, parents, this.schema])
    return { item, hash: sha256(sha256(identity), sha256(operations), isErased ? seal : sha256(content)) }
  }
  newItem(from, isHex) {
    const bytes = from.take(from.varint())
    return this.items.add({ key: bytes.toString(isHex ? 'hex' : 'utf8'), caret: 0 }, 4096)
  }
  readSchema(from) {
    const age = from.varint()
    return age > 0 ? this.schemas.age(age) : this.schemas.add([from.text(), from.varint(), from.take(32)], 256)
  }

  operations(from, form, isErased, values) {
    if (form === 3) return from.take(from.varint())
    if (form === 2) return encode(Array.from({ length: from.varint() }, () => this.operation(from, isErased, values)))
    const read = () => Array.from({ length: from.varint() }, () => this.operation(from, true, values))
    const age = form === 0 ? from.varint() : 0
    const pattern = form === 0 ? this.patterns.age(age) : this.patterns.add(read(), 256)
    if (!isErased) for (const [, kind] of pattern) if (kind < 4) values.push(from.value())
    return encode(pattern)
  }

  /** With its value behind it, unless that stands elsewhere or nowhere. */
  operation(from, isBare, values) {
    const code = from.byte()
    const [kind, age] = [code & 7, code >> 3]
    if (kind > 5) return ['', kind]
    if (kind === 5) return this.splice(from, code, isBare, values)
    const field = this.field(from, age === 30 ? from.varint() : age)
    if (kind % 2 === 0 && kind > 0)
      return [field, kind, Array.from({ length: from.varint() }, () => [this.id(from), from.varint()])]
    if (!isBare) values.push(from.value())
    return [field, kind]
  }
  splice(from, code, isErased, values) {
    const { item } = this
    if (code & 64) item.field = this.field(from)
    const at = item.caret + (code & 8 ? from.signed() : 0)
    const removed = code & 16 ? from.varint() : 0
    let length = 0
    if (code & 32 && isErased) length = from.varint()
    else if (code & 32) {
      values.push(from.value())
      length = cbor.decode(values.at(-1)).length
    }
    item.caret = at + length
    return [item.field, 5, at, removed, length]
  }
}

const signedId = (record) => {
  const [header, signature] = cbor.decode(record)
  return [sha256(header), signature.length > 0]
}

/** Section 3: whose log it is and the ids, hex, of the commits in it. */
export const readLog = (log) => {
  const { frames, damage, end } = readFrames(log)
  const [format, network, path] = cbor.decode(frames[0]?.payload ?? fail('no header'))
  if (frames[0].kind !== 0 || format !== 1) fail('no header')
  const ids = []
  let packs
  let open = []
  for (const { kind, payload, afterDamage } of frames) {
    if (afterDamage) packs = undefined
    if (kind !== 1) open = []
    if (kind === 1) open.push(signedId(payload))
    if (kind === 5) {
      const from = new Cursor(payload)
      const first = from.byte()
      if (first & 1) packs = new Packs(from.take(32), from.text())
      if (packs === undefined) continue
      const size = first & 128 ? from.varint() : 0
      const rest = payload.subarray(from.at)
      open = packs.read(first & 128 ? inflateRawSync(rest, { maxOutputLength: size }) : rest)
    }
    const vouched = open.findLastIndex(([, isSigned]) => isSigned) + 1
    ids.push(...open.splice(0, vouched).map(([id]) => id.toString('hex')))
    if (kind === 5) open = []
  }
  return { network: network?.toString('hex') ?? null, path, ids, damage, torn: end < log.length }
}
