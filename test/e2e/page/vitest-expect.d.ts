/** The part of Vitest's own assertions that the page puts together; the package is Vitest's dependency, not ours. */
declare module '@vitest/expect' {
  export const chai: {
    use(plugin: unknown): void
    readonly expect: (value: unknown, message?: string) => unknown
  }
  export const JestChaiExpect: unknown
  export const JestExtend: unknown
  export const JestAsymmetricMatchers: unknown
}
