import { describe, expect, test } from 'vitest'
import { isRefusal, type Refusal, refusal } from '../bytes/refusal.ts'
import type { Certificate } from '../trust/certificate.ts'
import { Certifying } from './certifying.ts'
import type { Login } from './login.ts'
import type { Channel } from './ports.ts'

const life = 1_000
const publicKey = new Uint8Array(65)

const certificate = (owner: string, name: string, issued: number): Certificate => ({
  owner,
  name,
  publicKey,
  issued,
  expires: issued + life,
  network: '',
  serial: '',
  signer: '',
  session: owner,
  id: `${owner} ${issued}`,
  body: publicKey,
  bytes: publicKey,
  signature: publicKey,
})

const channel: Channel = {
  remote: 'there:1',
  address: 'there',
  initiator: false,
  buffered: 0,
  send: () => undefined,
  close: () => undefined,
  listen: () => undefined,
}

const byName: Login = {
  method: 'name',
  check: async (credentials, key, address) =>
    typeof credentials === 'string'
      ? { owner: `${credentials}:${key}:${address}`, name: credentials }
      : refusal('LoginRefused', 'a name is needed'),
}

const certifying = (logins: readonly Login[] = [byName]) => {
  const state = { now: 0, revoked: false, kept: [] as string[] }
  const one = new Certifying({
    authority: { certify: async (_key, owner, name) => certificate(owner, name, state.now) },
    certificates: { keep: ({ id }) => void state.kept.push(id), hash: (bytes) => bytes.slice(0, 32) },
    clock: { now: () => state.now },
    quota: undefined,
    logins,
    life,
    isRevoked: () => state.revoked,
  })
  const judge = (method: string, credentials: string | null, held?: Certificate): Promise<Certificate | Refusal> =>
    one.judge(method, credentials, { key: 'k', publicKey, isAuthority: false, certificate: held }, channel)
  return { state, judge }
}

const held = certificate('ada', 'Ada', 0)

describe('a login', () => {
  test('is judged by its method, with the key and the address', async () => {
    const { state, judge } = certifying()
    expect(await judge('name', 'Ada')).toMatchObject({ owner: 'Ada:k:there', name: 'Ada' })
    expect(state.kept).toEqual(['Ada:k:there 0'])
    expect(await judge('name', null)).toEqual(refusal('LoginRefused', 'a name is needed'))
    expect(await judge('toString', 'Ada')).toEqual(refusal('LoginRefused', 'ways to log in here: name'))
    expect(await certifying([]).judge('name', 'Ada')).toMatchObject({ about: 'ways to log in here: none' })
  })
})

describe('[C4] a renewal', () => {
  test('is for who shows a certificate in force that is not revoked', async () => {
    const { state, judge } = certifying()
    state.now = life - 1
    expect(isRefusal(await judge('renew', null, held))).toBe(false)
    expect(await judge('renew', null)).toEqual(refusal('LoginRefused', 'nothing to renew'))
    state.now = life
    expect(await judge('renew', null, held)).toEqual(refusal('LoginRefused', 'nothing to renew'))
    state.now = life - 1
    state.revoked = true
    expect(await judge('renew', null, held)).toEqual(refusal('LoginRefused', 'the access of this account was ended'))
  })

  test('is of the same owner, and new only in the second half of the life', async () => {
    const { state, judge } = certifying()
    state.now = life / 2 - 1
    expect(await judge('renew', 'Eve', held)).toBe(held)
    state.now = life / 2
    expect(await judge('renew', 'Eve', held)).toMatchObject({ owner: 'ada', name: 'Ada', issued: life / 2 })
    expect(state.kept).toEqual([`ada ${life / 2}`])
  })
})

test('each method is there once, and renewing is none', () => {
  expect(() => certifying([byName, byName])).toThrow('name is given twice')
  expect(() => certifying([{ ...byName, method: 'renew' }])).toThrow('renew')
})
