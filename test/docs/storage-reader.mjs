/** Reads the logs of a store in plain JavaScript, floors included, by what docs/storage-format.md and sections 1, 2 and 6 of docs/wire-format.md say. */
import { createHash } from 'node:crypto'
import { inflateRawSync } from 'node:zlib'
import { Encoder } from 'cbor-x'

const cbor = new Encoder({ useRecords: false, variableMapSize: true, tagUint8Array: false })
const encode = (value) => Buffer.from(cbor.encode(value))
const sha256 = (...parts) => createHash('sha256').update(Buffer.concat(parts)).digest()
const fail = (why) => {
  throw new Error(why)
}
const hex = (bytes) => Buffer.from(bytes).toString('hex')

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

  /** Of each commit what `commitIn` says. */
  read(bytes) {
    const from = new Cursor(bytes)
    const found = []
    while (from.at < bytes.length - 2) {
      const one = this.commit(from)
      const id = Buffer.from(one.id, 'hex')
      this.ids.add(id, 4096)
      this.check = (this.check * 0x6487 + id.readUInt16BE(0)) % 65536
      found.push(one)
    }
    if (from.take(2).readUInt16BE(0) !== this.check) fail('another commit than was written')
    return found
  }

  commit(from) {
    const lead = from.byte()
    const second = lead & 128 ? from.byte() : 0
    if (second === 1) return commitIn(from.take(from.varint()))
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
    const { session, incarnation } = chain
    const named = { id: hex(id), isSigned: !(lead & 8), chain: hex(session) + hex(incarnation), seq, clock }
    return { ...named, changes: changes.map(({ name }) => name) }
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
    const name = nameOf([item.key, parents, this.schema])
    return { item, name, hash: sha256(sha256(identity), sha256(operations), isErased ? seal : sha256(content)) }
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

/** Of which item a change is, and which commits it builds on. */
const nameOf = ([key, parents, [, , schema]]) => ({ schema: hex(schema), key, parents: parents.map(hex) })

const commitIn = (record) => {
  const [header, signature, parts] = cbor.decode(record)
  const [, , , session, incarnation, seq, , clock] = cbor.decode(header)
  const named = { id: hex(sha256(header)), isSigned: signature.length > 0, chain: hex(session) + hex(incarnation) }
  return { ...named, seq, clock, changes: parts.map(([identity]) => nameOf(cbor.decode(identity))) }
}

const times = (count, make) => Array.from({ length: count }, (_, place) => make(place))

/** Section 10: one block of items. `commits`: those that the floor names. */
const readBlock = (bytes, commits) => {
  const isDeflated = bytes[0] === 1
  const start = new Cursor(bytes.subarray(1))
  const size = isDeflated ? start.varint() : start.bytes.length
  const body = isDeflated
    ? inflateRawSync(start.bytes.subarray(start.at), { maxOutputLength: size })
    : start.bytes.subarray(start.at)
  if (bytes[0] > 1 || body.length !== size) fail('no block')
  const from = new Cursor(body)
  const items = from.varint()
  const columns = times(from.varint(), () => {
    const [name, kind, least] = [from.text(), from.byte(), from.signed()]
    return { name, kind, least, units: times(from.varint(), from.varint) }
  })
  const shapes = times(from.varint(), () => ({
    isSingle: from.byte() === 1,
    columns: times(from.varint(), () => columns[from.varint()]),
  }))
  const shared = times(items, from.varint)
  const added = times(items, from.varint)
  const firsts = times(items, from.signed)
  const lengths = times(items, from.varint)
  let [keys, strings] = [from.text(), from.text()]
  for (const column of columns)
    column.strings = column.units.map((units) => {
      const string = strings.slice(0, units)
      strings = strings.slice(units)
      return string
    })
  let [key, first] = ['', 0]
  const found = times(items, (place) => {
    key = key.slice(0, shared[place]) + keys.slice(0, added[place])
    keys = keys.slice(added[place])
    first += firsts[place]
    const row = new Cursor(from.take(lengths[place]))
    const item = { key, ...readRow(row, shapes[row.varint()], first, commits) }
    return row.at === row.bytes.length ? item : fail('a row with more in it')
  })
  return from.at === body.length && keys === '' && strings === '' ? found : fail('a block with more in it')
}

const readRow = (row, { isSingle, columns }, first, commits) => {
  const changes = [first]
  let [heads, presence] = [0, 0]
  if (!isSingle) {
    for (let left = row.varint() - 1; left > 0; left--) changes.push(changes.at(-1) + row.signed())
    heads = row.varint()
    presence = row.varint()
    const registers = row.varint()
    if (heads !== 0 || presence > 1 || (registers > 0 && registers !== changes.length)) fail('no item of a floor')
  }
  const fields = Object.fromEntries(columns.map((column) => [column.name, readValue(row, column, changes, commits)]))
  const names = changes.map((number) => commits[number] ?? fail('a commit of no number'))
  return { isDeleted: presence === 1, changes: names.map(({ id }) => id), clock: names.at(-1).clock, fields }
}

const readValue = (row, column, changes, commits) => {
  const { kind, least, strings } = column
  const string = () => {
    const place = row.varint()
    return place === 0 ? row.text() : (strings[place - 1] ?? fail('no such string'))
  }
  const float = () => row.take(8).readDoubleBE()
  const whole = () => least + row.varint()
  const scalar = () => {
    const readers = [() => null, () => false, () => true, float, string, whole]
    return (readers[row.byte()] ?? fail('no scalar'))()
  }
  const put = () => ({ by: commits[changes[row.varint()]], tag: row.varint(), value: scalar() })
  const elements = () => {
    row.varint()
    return times(row.varint(), put)
  }
  const entries = () => {
    row.varint()
    return times(row.varint(), () => ({ key: string(), puts: times(row.varint(), put) }))
  }
  const isLater = (a, b) => a.by.clock > b.by.clock || (a.by.clock === b.by.clock && a.by.id > b.by.id)
  const latest = (puts) => puts.reduce((one, other) => (isLater(other, one) ? other : one))
  const named = ({ by, tag, value }) => [`${by.id}/${tag}`, value]
  switch (kind) {
    case 6: {
      const all = elements()
      return { set: [...new Set(all.map(({ value }) => value))], tags: Object.fromEntries(all.map(named)) }
    }
    case 7: {
      const all = entries()
      const shown = all.map(({ key, puts }) => [key, latest(puts).value])
      return { map: Object.fromEntries(shown), tags: Object.fromEntries(all.flatMap(({ puts }) => puts.map(named))) }
    }
    default:
      return ([scalar, string, whole, float, () => row.byte() === 1, string][kind] ?? fail('no such kind'))()
  }
}

/** Section 10: what stands in the place of dropped commits. */
const readFloor = (payloads) => {
  const pieces = payloads.map((payload, at) => {
    const from = new Cursor(payload)
    if (from.varint() !== at || from.varint() !== payloads.length) fail('a piece is missing')
    return payload.subarray(from.at)
  })
  const bytes = Buffer.concat(pieces)
  const end = bytes.length - 8
  if (bytes.subarray(0, 16).toString() !== 'weft snapshot 2\n') fail('no floor')
  if (bytes.readUInt32LE(end + 4) !== crc32c(bytes.subarray(0, end + 4))) fail('a wrong checksum')
  const blocks = new Cursor(bytes.subarray(16, end - bytes.readUInt32LE(end)))
  const rest = new Cursor(bytes.subarray(end - bytes.readUInt32LE(end), end))
  rest.take(32 + 3)
  const latest = rest.varint()
  rest.take(1)
  const ids = new Cursor(rest.take(rest.varint()))
  const { chains, commits } = readColumns(new Cursor(rest.take(rest.varint())), ids)
  const items = times(rest.varint(), () => {
    const schema = hex(rest.take(32))
    const hashes = times(rest.varint(), () => rest.take(4).readUInt32LE())
    const found = times(rest.varint(), () => readBlock(blocks.take(rest.varint()), commits)).flat()
    if (found.some(({ key }, place) => keyHash(key) !== hashes[place])) fail('another key')
    return found.map((item) => ({ schema, ...item }))
  }).flat()
  if (latest !== commits.reduce((most, { clock }) => Math.max(most, clock), 0)) fail('another clock')
  if (rest.varint() !== 0 || rest.at !== rest.bytes.length || blocks.at !== blocks.bytes.length)
    fail('more than a floor')
  return { floors: Object.fromEntries(chains.filter(([, floor]) => floor >= 0)), dropped: commits, items }
}

const readColumns = (columns, ids) => {
  const count = columns.varint()
  if (columns.varint() !== count || ids.bytes.length !== 32 * count) fail('not as many commits')
  const chains = times(columns.varint(), () => [hex(columns.take(40)), columns.varint() - 1])
  const cite = () => {
    const n = columns.varint() - 1
    return n < 0 ? null : { n, epoch: columns.varint() }
  }
  let clock = 0
  const commits = times(count, () => {
    const [chain] = chains[columns.varint() / 2] ?? fail('no such chain')
    if (columns.varint() !== 1) fail('no commit of a floor')
    const seq = columns.varint()
    clock += columns.signed()
    if (columns.varint() !== 0) fail('no commit of a floor')
    return { id: hex(ids.take(32)), chain, seq, clock, root: cite(), authority: cite() }
  })
  return { chains, commits }
}

const keyHash = (key) => {
  let hash = 0x811c9dc5
  for (let at = 0; at < key.length; at++) hash = Math.imul(hash ^ key.charCodeAt(at), 0x01000193)
  return hash >>> 0
}

/** The floor less what was recalled, and which changes of the commits are in it. */
const settle = (floor, commits, recalled) => {
  const named = (one) => `${one.schema} ${one.key}`
  const byId = new Map(commits.map((commit) => [commit.id, commit]))
  const laid = new Map(floor.items.map((item) => [named(item), item]))
  const isWhole = (name, id) => {
    const change = byId.get(id)?.changes.find((one) => named(one) === name)
    return change?.parents.every((parent) => isWhole(name, parent)) === true
  }
  for (const name of recalled.map(named)) {
    const last = laid.get(name)?.changes.at(-1)
    if (last !== undefined && isWhole(name, last)) laid.delete(name)
  }
  for (const { chain, seq, clock, changes } of commits)
    for (const change of changes)
      change.isInFloor = seq <= (floor.floors[chain] ?? -1) && clock <= (laid.get(named(change))?.clock ?? -1)
  return { ...floor, items: [...laid.values()] }
}

/** Section 3: whose log it is and the commits in it; section 10: what stands for those that are not. */
export const readLog = (log) => {
  const { frames, damage, end } = readFrames(log)
  const [format, network, path] = cbor.decode(frames[0]?.payload ?? fail('no header'))
  if (frames[0].kind !== 0 || format !== 1) fail('no header')
  const laid = frames.filter(({ kind }) => kind === 8).map(({ payload }) => payload)
  let floor
  let lost
  try {
    floor = laid.length === 0 ? undefined : readFloor(laid)
  } catch (error) {
    lost = error.message
  }
  const isBelow = ({ chain, seq }) => seq <= (floor?.floors[chain] ?? -1)
  const found = new Map()
  const recalled = []
  let packs
  let open = []
  const take = (commit) => {
    open.push(commit)
    if (isBelow(commit)) open = [commit]
    else if (!commit.isSigned) return
    for (const one of open.splice(0)) found.set(one.id, one)
  }
  for (const { kind, payload, afterDamage } of frames) {
    if (afterDamage) packs = undefined
    if (kind !== 1) open = []
    if (kind === 1) take(commitIn(payload))
    if (kind === 9) recalled.push({ schema: hex(payload.subarray(0, 32)), key: payload.subarray(32).toString() })
    if (kind === 5) {
      const from = new Cursor(payload)
      const first = from.byte()
      if (first & 1) packs = new Packs(from.take(32), from.text())
      if (packs === undefined) continue
      const size = first & 128 ? from.varint() : 0
      const rest = payload.subarray(from.at)
      packs.read(first & 128 ? inflateRawSync(rest, { maxOutputLength: size }) : rest).forEach(take)
      open = []
    }
  }
  const commits = [...found.values()]
  const ids = commits.map(({ id }) => id)
  const floored = floor && settle(floor, commits, recalled)
  const whose = { network: network && hex(network), path }
  return { ...whose, ids, commits, floor: floored, lost, damage, torn: end < log.length }
}
