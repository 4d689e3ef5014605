/**
 * A complete small client, by what docs/protocol.md and docs/wire-format.md say. It dials, hence leads, speaks the base protocol, and merges nothing.
 * Events: `level`; `commit`, stored; `refused`, by either side: code, and what it is about.
 */
import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { EventEmitter, on } from 'node:events'
import { io } from 'socket.io-client'
import * as format from './bytes.mjs'

const { check, decode, encode, equal, fromHex, hex, isSigned, sha256, signAs } = format
const frames = ['greet', 'prove', 'login', 'certified', 'refused', 'beat', 'subscribe', 'sync', 'root']
const messages = ['hello', 'entries', 'filter', 'heads', 'want', 'push', 'fingerprint', 'refused', 'rest']
const inGroups = (list, size) =>
  Array.from({ length: list.length / size }, (_, i) => list.slice(size * i, size * (i + 1)))

export class Client extends EventEmitter {
  key = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  own = { certificate: null, incarnation: randomBytes(8), store: randomBytes(8), last: undefined }
  network = null
  /** The authority's keys by their id, with the place in the root log where they retire. */
  authorities = new Map()
  erased = new Set()
  sessions = new Map()
  /** By id: all in the order of admission; the last ones of their chains. By item: ids of its heads. */
  commits = new Map()
  tips = new Map()
  heads = new Map()
  isLevel = false

  constructor(url, path, name) {
    super()
    Object.assign(this, { path, name, logs: { '/sys': [], [path]: [] } })
    this.socket = io(url, { transports: ['websocket'], forceNew: true, autoConnect: false })
    this.socket.on('connect', () => this.#meet().catch(({ code = 'Malformed' }) => this.#leave(code)))
    this.socket.on('disconnect', () => Object.assign(this, { isLevel: false }))
  }

  #leave(code) {
    this.#send('refused', code, '')
    this.socket.disconnect()
    this.emit('refused', code, '')
  }

  #send(name, ...fields) {
    const frame = encode([this.line.sent++, frames.indexOf(name), ...fields])
    this.line.sentAt = Date.now()
    if (this.socket.connected) this.socket.emit('frame', frame)
    return sha256(frame)
  }

  #say = (name, ...fields) => this.#send('sync', 0, [messages.indexOf(name), ...fields])
  #position = (path) => this.logs[path].at(-1)?.position ?? null
  #trust = (point) => this.authorities.set(hex(sha256(point)), { point, until: Number.POSITIVE_INFINITY })

  /** The next frame or message, of that name when one is given. A silent server sends beats: they are the clock of ours. */
  async #next(wanted) {
    for (;;) {
      const { value: [frame] = [] } = await this.line.frames.next()
      if (frame === undefined) await new Promise(() => undefined)
      const [number, kind, ...rest] = decode(frame)
      check(number === this.line.heard++, 'Gap')
      if (Date.now() - this.line.sentAt > 10_000) this.#send('beat')
      const [name, ...fields] = kind === 7 ? [messages[rest[1][0]], ...rest[1].slice(1)] : [frames[kind], ...rest]
      if (['prove', 'root', 'entries'].includes(name)) for (const entry of fields.at(-1)) this.#enter(entry)
      if (name === 'push') this.admit(fields[3], fields[4])
      if (name === 'refused') this.emit('refused', ...fields)
      if (wanted === undefined || name === wanted) return { name, fields, hash: sha256(frame) }
    }
  }

  async #meet() {
    const { key, own, path } = this
    this.line = { sent: 0, heard: 0, frames: on(this.socket, 'frame', { close: ['disconnect'] }) }
    const g0 = this.#send('greet', 1, this.network, randomBytes(32), Date.now(), this.logs['/sys'].length)
    const { fields: greeting, hash: g1 } = await this.#next('greet')
    this.network ??= greeting[1]
    check(equal(greeting[1], this.network), 'WrongNetwork')
    const proof = (point, dialled) => sha256(encode([point, g0, g1, dialled, Buffer.alloc(0)]))
    const mine = format.pointOf(key.publicKey)
    this.#send('prove', mine, own.certificate, signAs('proof', key.privateKey, proof(mine, true)), [])
    const [theirs, , signature] = (await this.#next('prove')).fields
    // Whoever answers has to be the authority of the network.
    const isKnown = this.authorities.has(hex(sha256(theirs)))
    check(isKnown && isSigned('proof', theirs, proof(theirs, false), signature), 'BadSignature')
    if (own.certificate === null) {
      this.#send('login', 'anonymous', this.name)
      own.certificate = (await this.#next('certified')).fields[0]
      own.session = this.#certify(own.certificate)
    }
    this.#send('subscribe', 0, path, this.#position(path), this.tips.size, own.store)
    const from = ((await this.#next('subscribe')).fields[2]?.[1] ?? -1) + 1
    this.line.salt = sha256(encode([g0, g1, path])).subarray(0, 16)
    await this.#reconcile(
      from,
      this.logs[path].slice(from).map(({ entry }) => entry),
    )
  }

  /** What a key of the authority signed. */
  #signed(kind, signed) {
    const [body, signature] = decode(signed)
    const [hash, fields] = [sha256(body), decode(body)]
    const signer = this.authorities.get(hex(fields[8]))
    check(signer && isSigned(kind, signer.point, hash, signature), 'BadSignature')
    return [signer, hash, ...fields.slice(1)]
  }

  #certify(certificate) {
    const [, , network, point, owner] = this.#signed('certificate', certificate)
    check(equal(network, this.network), 'WrongNetwork')
    const session = sha256(sha256(point), sha256(Buffer.from(owner)))
    this.sessions.set(hex(session), { point, certificate })
    return session
  }

  #enter(entry) {
    const root = this.logs['/sys']
    if (root.length === 0) this.#trust(decode(decode(entry)[0])[10][0])
    const [signer, hash, network, path, epoch, n, previous, at, , , kind, statement] = this.#signed('entry', entry)
    const log = this.logs[path]
    if (log[n] && equal(log[n].position[2], hash)) return
    check(n === log.length && (n === 0 || equal(previous, log[n - 1].position[2])), 'LogForked')
    check(equal(log === root && n === 0 ? hash : network, this.network), 'WrongNetwork')
    check((log === root ? n - 1 : at[1]) < signer.until, 'BadSignature')
    if (log === root && kind === 7) this.#trust(statement[0])
    if (log === root && kind === 8) this.authorities.get(hex(statement[0])).until = n
    if (kind === 6) for (const [id, item] of statement[0]) this.erased.add(hex(id) + item)
    log.push({ entry, position: [epoch, n, hash] })
  }

  /** A commit without a signature is vouched for by those that follow in its chain, up to the first that has one. */
  admit(records, certificates) {
    for (const certificate of certificates) this.#certify(certificate)
    const run = []
    const find = (id) => this.commits.get(id) ?? run.find((one) => one.id === id)
    for (const commit of records.map(format.readCommit)) {
      const { id, session, chain, seq, prev, clock, edits, signature } = commit
      check(equal(commit.network, this.network) && commit.path === this.path, 'Malformed')
      check(run.length === 0 || prev === run.at(-1).id, 'BadSignature')
      const before = prev === null ? { chain, seq: -1, clock: 0 } : find(prev)
      check(before?.chain === chain && before.seq + 1 === seq, 'BrokenChain')
      check(before.clock < clock, 'ClockNotLater')
      for (const { item, parents, values } of edits) {
        const isParent = (one) => one?.clock < clock && one.edits.some((edit) => edit.item === item)
        check(
          parents.every((parent) => isParent(find(parent))),
          'BadParents',
        )
        check(values !== undefined || this.erased.has(id + item), 'NotErased')
      }
      const size = run.reduce((sum, { record }) => sum + record.length, commit.record.length)
      check(run.length === 0 || size <= 524_288, 'TooLarge')
      check(run.push(commit) <= 64, 'TooMany')
      if (signature.length === 0) continue
      const author = this.sessions.get(session)
      check(author && isSigned('commit', author.point, fromHex(id), signature), 'BadSignature')
      for (const one of run.splice(0)) if (!this.commits.has(one.id)) this.#store(one)
    }
    check(run.length === 0, 'BadSignature')
  }

  #store(commit) {
    this.commits.set(commit.id, commit)
    this.tips.delete(commit.prev)
    this.tips.set(commit.id, commit)
    for (const { item, parents } of commit.edits)
      this.heads.set(item, [...(this.heads.get(item) ?? []).filter((id) => !parents.includes(id)), commit.id])
    this.emit('commit', commit)
  }

  /** The record of a commit of edits `{ item, schema, operations, values }`. */
  compose(edits) {
    const { session, incarnation, last } = this.own
    const parents = edits.map(({ item }) => (this.heads.get(item) ?? []).toSorted().slice(0, 16))
    const past = [...parents.flat().map((id) => this.commits.get(id)), ...(last ? [last] : [])]
    const changes = edits.map(({ item, schema, operations, values }, i) =>
      [[item, parents[i].map(fromHex), schema], operations, [randomBytes(12), values]].map(encode),
    )
    const chain = [session, incarnation, last ? last.seq + 1 : 0, last ? fromHex(last.id) : null]
    const clock = Math.max(Date.now() * 256, ...past.map((commit) => commit.clock + 1))
    const policy = [this.#position('/sys'), this.#position(this.path)]
    const hashes = changes.map(format.changeHash)
    const header = encode([1, this.network, this.path, ...chain, clock, policy, 0, hashes, {}])
    return encode([header, signAs('commit', this.key.privateKey, sha256(header)), changes])
  }

  commit(edits) {
    this.own.last = format.readCommit(this.compose(edits))
    this.#store(this.own.last)
    if (this.isLevel) this.#push(0, [this.own.last], false)
    return this.own.last
  }

  /** In as many messages as it takes, none of which ends within a run. */
  #push(round, commits, last) {
    let [end, size] = [0, 0]
    for (let isCut = false; end < commits.length && !isCut; end++) {
      size += commits[end].record.length
      isCut = size > 400_000 && commits[end].signature.length > 0
    }
    const [part, rest] = [commits.slice(0, end), commits.slice(end)]
    const certificates = new Set(part.map(({ session }) => this.sessions.get(session).certificate))
    const records = part.map(({ record }) => record)
    if (last || end > 0) this.#say('push', round, last && rest.length === 0, [], records, [...certificates])
    if (rest.length > 0) this.#push(round, rest, last)
  }

  #fingerprint() {
    const names = [...this.tips.values()].map(({ chain, seq, id }) => chain + seq.toString(16).padStart(8, '0') + id)
    return sha256(this.line.salt, sha256(fromHex(names.sort().join('')))).subarray(0, 8)
  }

  async #reconcile(from, entries) {
    this.#say('hello', this.#fingerprint(), this.tips.size === 0, null)
    if (entries.length > 0) this.#say('entries', from, entries)
    let theirs = (await this.#next('hello')).fields[0]
    for (let [number, rounds, idle] = [1, 0, 0]; ; number++, rounds++) {
      if (equal(theirs, this.#fingerprint())) {
        rounds = idle = 0
        this.isLevel = true
        this.emit('level')
      }
      while (this.isLevel) {
        const { name, fields } = await this.#next()
        if (name === 'fingerprint' && fields[1]) this.isLevel = equal(fields[1], this.#fingerprint())
      }
      const before = hex(this.#fingerprint()) + hex(theirs)
      const until = rounds > 2 ? Date.now() + 30 * 2 ** Math.min(rounds, 10) : 0
      if (idle === 8) this.#say('rest', number - 1)
      while (Date.now() < until || (idle >= 8 && before === hex(this.#fingerprint()) + hex(theirs))) await this.#next()
      await this.#round(number, idle)
      const mine = this.#fingerprint()
      this.#say('fingerprint', number, mine, false, null)
      theirs = (await this.#next('fingerprint')).fields[1] ?? mine
      idle = before === hex(mine) + hex(theirs) ? idle + 1 : 0
    }
  }

  /** By filters. After two rounds that moved nothing they have no bits, and names are whole. */
  async #round(number, idle) {
    // Whoever has nothing is sent everything, unasked.
    for (let isEmpty = this.tips.size === 0; isEmpty; ) isEmpty = !(await this.#next('push')).fields[1]
    const filter = format.makeFilter(idle < 2 ? [...this.tips.keys()] : [])
    const digits = filter[1] === 0 ? undefined : 16
    const nameOf = ({ chain }) => (digits ? chain.slice(0, 8) + chain.slice(64, 72) : chain)
    this.#say('filter', number, ...filter)
    const theirs = (await this.#next('filter')).fields.slice(1)
    const listed = []
    for (let heads = [number, true]; heads[1]; ) {
      heads = (await this.#next('heads')).fields
      listed.push(...inGroups(heads[2], 3).map(([chain, , id]) => [hex(chain), hex(id)]))
    }
    // From our tips that missed the other sees who is ahead. We ask for chains that we lack; then for other branches too.
    const tips = [...this.tips.values()]
    const offered = tips.filter((tip) => !format.hits(theirs, tip.id)).slice(0, 8_000)
    const known = new Set([...tips.map(nameOf), ...[...this.commits.keys()].map((id) => id.slice(0, digits))])
    const isKnown = ([chain, id]) => known.has(idle === 0 ? chain : id)
    const wants = listed.flatMap((head, index) => (isKnown(head) ? [] : [[index]])).slice(0, 8_000)
    const names = offered.flatMap((tip) => [fromHex(nameOf(tip)), tip.seq, fromHex(tip.id.slice(0, digits))])
    if (wants.length > 0) this.#say('want', number, false, wants)
    if (names.length > 0) this.#say('heads', number, false, names)
    const found = new Set()
    for (let [isPushed, isAsked] = [wants.length === 0, names.length === 0]; !isPushed || !isAsked; ) {
      const { name, fields } = await this.#next()
      if (name === 'push' && fields[1]) isPushed = true
      if (name !== 'want') continue
      // Back from a tip to the first of those places, or to the chain's beginning.
      for (const [index, ...places] of fields[2]) {
        const isMet = ({ seq, id }) =>
          inGroups(places, 2).some((held) => held[0] === seq && id.startsWith(hex(held[1])))
        for (let at = offered[index]; at && !isMet(at); at = this.commits.get(at.prev)) found.add(at)
      }
      isAsked = !fields[1]
      const inOrder = [...this.commits.values()].filter((commit) => found.has(commit))
      if (isAsked) this.#push(number, inOrder, true)
    }
  }
}
