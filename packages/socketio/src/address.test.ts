import { expect, test } from 'vitest'
import { forwardedFor, networkOf } from './address.ts'

test('an IPv4 address is itself, mapped or not', () => {
  expect(networkOf('192.0.2.7')).toBe('192.0.2.7')
  expect(networkOf('::ffff:192.0.2.7')).toBe('192.0.2.7')
})

test('IPv6 addresses of one /64 are one, however they are written', () => {
  const network = '2001:db8:0:1::/64'
  for (const address of [
    '2001:db8:0:1::',
    '2001:db8::1:0:0:0:9',
    '2001:0DB8:0000:0001:ffff::1',
    '2001:db8:0:1:a:b:c:d',
  ]) {
    expect(networkOf(address), address).toBe(network)
  }
  expect(networkOf('2001:db8:0:2::')).not.toBe(network)
  expect(networkOf('::1')).toBe('0:0:0:0::/64')
  expect(networkOf('fe80::1%eth0')).toBe('fe80:0:0:0::/64')
})

test('what is no address is taken as it is', () => {
  expect(networkOf('')).toBe('')
  expect(networkOf('proxy')).toBe('proxy')
})

test('behind proxies the address is read from the right, and never what a client claims', () => {
  const peer = '10.0.0.1'
  expect(forwardedFor(peer, '203.0.113.9', 0)).toBe(peer)
  expect(forwardedFor(peer, undefined, 1)).toBe(peer)
  expect(forwardedFor(peer, '192.0.2.66, 203.0.113.9', 1)).toBe('203.0.113.9')
  expect(forwardedFor(peer, '192.0.2.66, 203.0.113.9,10.0.0.2', 2)).toBe('203.0.113.9')
  expect(forwardedFor(peer, '203.0.113.9', 2)).toBe(peer)
  expect(forwardedFor(peer, '203.0.113.9, unknown', 1)).toBe(peer)
  expect(forwardedFor(peer, '', 1)).toBe(peer)
})
