// What is used of JsSIP's own declarations (modules/jssip/lib), and of fields that they leave out.
declare module "jssip";
