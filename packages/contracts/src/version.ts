/** The version of the plane: that of every service, of the command and of what they tell. */
export const PLANE_VERSION = '0.1.0';
