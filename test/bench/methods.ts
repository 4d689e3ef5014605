/** What a child process answers to. Arguments and answers are what JSON holds. */
export type Methods = Readonly<Record<string, (...args: never[]) => unknown>>
