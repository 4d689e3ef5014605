/** The part of Vitest's own assertions that the page puts together; host.ts finds them where Vitest has them. */
declare module 'vitest-assertions' {
  export const chai: {
    use(plugin: unknown): void
    readonly expect: (value: unknown, message?: string) => unknown
  }
  export const JestChaiExpect: unknown
  export const JestExtend: unknown
  export const JestAsymmetricMatchers: unknown
}
