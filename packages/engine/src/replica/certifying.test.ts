import { describe, expect, test } from 'vitest'
import { isRefusal, type Refusal, refusal } from '../bytes/refusal.ts'
import type { Certificate } from '../trust/certificate.ts'
import { Certifying } from './certifying.ts'
import type { Login } from './login.ts'
import type { Channel } from './ports.ts'

const life = 1_000
const publicKey = new Uint8Array(65)

const certificate = (owner: string, name: string, issued: number, number = 1): Certificate => ({
  owner,
  name,
  publicKey,
  issued,
  expires: issued + life,
  network: '',
  number,
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
  const kept: Certificate[] = []
  const state = { now: 0, revoked: false, store: async (): Promise<Refusal | undefined> => undefined }
  const one = new Certifying({
    authority: { certify: async (_key, { owner, name }, number) => certificate(owner, name, state.now, number) },
    certificates: {
      keep: (one) => void kept.push(one),
      ofAccount: (owner) => kept.filter((one) => one.owner === owner),
      hash: (bytes) => bytes.slice(0, 32),
    },
    numbersFrom: () => 0,
    store: () => state.store(),
    clock: { now: () => state.now },
    quota: undefined,
    logins,
    life,
    isRevoked: () => state.revoked,
  })
  const judge = (method: string, credentials: string | null, held?: Certificate): Promise<Certificate | Refusal> =>
    one.judge(method, credentials, { key: 'k', publicKey, isAuthority: false, certificate: held }, channel)
  return { state, judge, kept }
}

const held = certificate('ada', 'Ada', 0)

describe('a login', () => {
  test('is judged by its method, with the key and the address', async () => {
    const { kept, judge } = certifying()
    expect(await judge('name', 'Ada')).toMatchObject({ owner: 'Ada:k:there', name: 'Ada' })
    expect(kept.map(({ id }) => id)).toEqual(['Ada:k:there 0'])
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
    const { state, judge, kept } = certifying()
    state.now = life / 2 - 1
    expect(await judge('renew', 'Eve', held)).toBe(held)
    state.now = life / 2
    expect(await judge('renew', 'Eve', held)).toMatchObject({ owner: 'ada', name: 'Ada', issued: life / 2 })
    expect(kept.map(({ id }) => id)).toEqual([`ada ${life / 2}`])
  })
})

test('[H9] certificates of an account are numbered from 1 on, stored before they are given out, and no number is given twice', async () => {
  const { state, judge, kept } = certifying()
  const numbers = (): number[] => kept.map(({ number }) => number)
  await judge('name', 'Ada')
  await judge('name', 'Eve')
  await Promise.all([judge('name', 'Ada'), judge('name', 'Ada')])
  expect(numbers()).toEqual([1, 1, 2, 3])
  state.store = async () => refusal('DiskFull')
  expect(await judge('name', 'Ada')).toMatchObject({ code: 'LoginRefused' })
  expect(numbers()).toHaveLength(4)
  state.store = async () => undefined
  // What the disk refused may be on it all the same.
  expect(await judge('name', 'Ada')).toMatchObject({ number: 5 })
  expect(await judge('name', 'Ada')).toMatchObject({ number: 6 })
})

test('each method is there once, and renewing is none', () => {
  expect(() => certifying([byName, byName])).toThrow('name is given twice')
  expect(() => certifying([{ ...byName, method: 'renew' }])).toThrow('renew')
})
