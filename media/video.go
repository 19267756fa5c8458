package media

import (
	"tandem/media/relay"
	"tandem/media/sdp"
)

// Video says whether video between this browser and another one is agreed on.
func (s *Session) Video() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.agreed != nil && s.agreed.Video != nil
}

// VideoNews says whether the browser's offer at hand has something to tell another browser about video: that it begins, ends, is held, or
// comes from another source.
func (s *Session) VideoNews() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.offer == nil || s.web == nil || s.agreed == nil || s.noVideo {
		return false
	}
	now, before := s.offersVideo(), s.agreed.Video
	if now == nil || before == nil {
		return now != before
	}
	return now.Direction != before.Direction || now.SSRC != before.SSRC
}

// passable is v if this leg may have video.
func (s *Session) passable(v *sdp.Video) *sdp.Video {
	if s.web == nil || s.noVideo {
		return nil
	}
	return v
}

// offersVideo is that of the browser's offer; once some was agreed, only formats of those, for the numbers of others may mean something else on the other
// leg. The caller holds the lock.
func (s *Session) offersVideo() *sdp.Video {
	if s.web == nil || s.noVideo {
		return nil
	}
	v := s.offer.Video(audio(s.offer))
	if v != nil && s.agreed != nil && s.agreed.Video != nil {
		return v.Common(s.agreed.Video)
	}
	return v
}

// videoSettings is what was agreed as the relay takes it; nil: nothing.
func videoSettings(v *sdp.Video) *relay.VideoSettings {
	if v == nil {
		return nil
	}
	set := &relay.VideoSettings{MaySend: v.Sends, MayReceive: v.Receives}
	for _, c := range v.Codecs {
		set.Types = append(set.Types, c.PT)
	}
	return set
}
