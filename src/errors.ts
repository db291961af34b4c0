/** A mistake that the user can mend. The message says what is wrong, the value, and what would be right. */
export class UserError extends Error {
  /** 1: the work failed; 2: wrong usage or configuration. */
  readonly exitCode: 1 | 2;

  constructor(message: string, exitCode: 1 | 2 = 2, options?: ErrorOptions) {
    super(message, options);
    this.name = 'UserError';
    this.exitCode = exitCode;
  }
}
