use super::*;

#[test]
fn a_key_is_as_long_as_it_says() {
    assert_eq!(size_of::<FlowKey>(), 128);
    assert_eq!(size_of::<Mask>(), 128);
}
